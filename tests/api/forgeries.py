"""Access tokens that nobody made: what attackers try, by name."""

import base64
import hmac
import json
from collections.abc import Callable, Iterator
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

Json = dict[str, Any]
_EVERY_ALGORITHM = [
    *("HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "ES256K", "Ed25519"),
]
_OURS = "ES256"


def part(content: object) -> str:
    """Return a part of a token."""
    encoded = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(encoded).decode().rstrip("=")


class Forger:
    """Has a good token's header and claims, the key that is published, and the real one."""

    def __init__(self, header: Json, claims: Json, real: ECKey, token: str) -> None:
        """Take them; `real` signs what attackers could only make with it."""
        self.header = header
        self.claims = claims
        self.real = real
        self.token = token
        self.own = ECKey.generate_key("P-256", private=True)

    def raw(self, header: object, payload: bytes, sign: Callable[[bytes], bytes]) -> str:
        """Put a token together from its parts."""
        data = f"{part(header)}.{part(payload)}"
        return f"{data}.{part(sign(data.encode()))}"

    def real_one(self, claims: object, header: object = None) -> str:
        """Return what the real key would sign, whatever it says."""
        content = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
        return self.raw(
            self.header if header is None else header,
            content,
            lambda data: _sign(self.real, _OURS, data),
        )


def _sign(key: Any, algorithm: str, data: bytes) -> bytes:  # noqa: ANN401 - of any kind
    """Return a signature over any two parts."""
    name = "Ed25519" if algorithm == "EdDSA" else algorithm  # of which the old name is warned
    return jws.JWSRegistry(algorithms=_EVERY_ALGORITHM).get_alg(name).sign(data, key)


def forgeries(forger: Forger) -> Iterator[tuple[str, str]]:
    """List them, each with what is tried."""
    yield from _without_a_key(forger)
    yield from _with_another_algorithm(forger)
    yield from _with_a_key_brought_along(forger)
    yield from _with_other_headers(forger)
    yield from _with_other_claims(forger)
    yield from _with_other_signatures(forger)
    yield from _of_another_shape(forger)


def _without_a_key(forger: Forger) -> Iterator[tuple[str, str]]:
    payload = json.dumps(forger.claims).encode()
    real = forger.token.rpartition(".")[2]
    names: list[object] = ["", "null", None, 0, False, [], {}, ["ES256"]]
    names += ["none", "None", "NONE", "nOnE"]
    for name in names:
        header = forger.header | {"alg": name}
        head = f"{part(header)}.{part(payload)}"
        for told, signature in (("no", ""), ("a real", real), ("a zero", "A" * 86)):
            yield f"alg {name!r} with {told} signature", f"{head}.{signature}"
        yield f"alg {name!r} without a third part", head
    without = {name: value for name, value in forger.header.items() if name != "alg"}
    yield "no alg", f"{part(without)}.{part(payload)}.{real}"


def _with_another_algorithm(forger: Forger) -> Iterator[tuple[str, str]]:
    payload = json.dumps(forger.claims).encode()
    public = forger.real.as_dict(private=False)
    raw = forger.real.public_key
    pem = serialization.Encoding.PEM
    der = serialization.Encoding.DER
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    point = raw.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    secrets = {
        "PEM": raw.public_bytes(pem, info),
        "PEM stripped": raw.public_bytes(pem, info).strip(),
        "DER": raw.public_bytes(der, info),
        "point": point,
        "JWK": json.dumps(public).encode(),
        "JWK sorted": json.dumps(public, sort_keys=True, separators=(",", ":")).encode(),
        "x": str(public["x"]).encode(),
        "kid": str(forger.header["kid"]).encode(),
        "nothing": b"",
    }
    for algorithm, digest in (("HS256", "sha256"), ("HS384", "sha384"), ("HS512", "sha512")):
        for told, secret in secrets.items():
            header = forger.header | {"alg": algorithm}
            data = f"{part(header)}.{part(payload)}"
            signature = hmac.digest(secret, data.encode(), digest)
            yield f"{algorithm} keyed with the public {told}", f"{data}.{part(signature)}"
            # The same under our own name for it: no other algorithm is looked for.
            named = f"{part(forger.header)}.{part(payload)}"
            signature = hmac.digest(secret, named.encode(), digest)
            yield f"ES256 that is {algorithm} with {told}", f"{named}.{part(signature)}"
    keys: dict[str, Any] = {
        "RS256": RSAKey.generate_key(2048, private=True),
        "ES384": ECKey.generate_key("P-384", private=True),
        "ES512": ECKey.generate_key("P-521", private=True),
        "ES256K": ECKey.generate_key("secp256k1", private=True),
        "EdDSA": OKPKey.generate_key("Ed25519", private=True),
        "ES256": forger.own,
        "HS256": OctKey.generate_key(256, private=True),
    }
    keys |= dict.fromkeys(("RS384", "RS512", "PS256", "PS384", "PS512"), keys["RS256"])
    for algorithm, key in keys.items():
        header = forger.header | {"alg": algorithm}
        yield (
            f"{algorithm} with a key of one's own",
            forger.raw(header, payload, lambda data, k=key, a=algorithm: _sign(k, a, data)),
        )


def _with_a_key_brought_along(forger: Forger) -> Iterator[tuple[str, str]]:
    payload = json.dumps(forger.claims).encode()
    public = forger.own.as_dict(private=False)
    brought: list[Json] = [
        {"jwk": public},
        {"jwk": public | {"kid": forger.header["kid"]}},
        {"jku": "https://evil.example/jwks.json"},
        {"jku": "http://127.0.0.1:1/"},
        {"jku": "file:///etc/passwd"},
        {"x5u": "https://evil.example/cert.pem"},
        {"x5c": ["MIIB"]},
        {"x5t": "x"},
        {"jwk": public, "jku": "https://evil.example/"},
    ]
    for more in brought:
        for kid in (forger.header["kid"], forger.own.thumbprint()):
            header = forger.header | {"kid": kid} | more
            yield (
                f"brings {sorted(more)} along, kid {str(kid)[:6]}",
                forger.raw(header, payload, lambda data: _sign(forger.own, _OURS, data)),
            )
        yield f"real, but with {sorted(more)}", forger.real_one(forger.claims, forger.header | more)
    kids: list[object] = [
        *("", "0", "../../../../dev/null", "/dev/null", "' OR 1=1 --", "*", "%00", "\x00"),
        *("http://evil.example/", "x" * 500, forger.own.thumbprint(), None, 0, 1, True, [], {}),
        *([forger.header["kid"]], {"kid": forger.header["kid"]}, f" {forger.header['kid']}"),
        *(str(forger.header["kid"]).upper(), f"{forger.header['kid']}\x00"),
    ]
    for kid in kids:
        header = forger.header | {"kid": kid}
        for told, key in (("own", forger.own), ("real", forger.real)):
            yield (
                f"kid {str(kid)[:20]!r} with the {told} key",
                forger.raw(header, payload, lambda data, k=key: _sign(k, _OURS, data)),
            )
    without = {name: value for name, value in forger.header.items() if name != "kid"}
    yield "no kid", forger.real_one(forger.claims, without)


def _with_other_headers(forger: Forger) -> Iterator[tuple[str, str]]:
    for typ in ("JWT", "jwt", "AT+JWT", "application/at+jwt", "at+jwt ", "", None, 1, ["at+jwt"]):
        yield f"typ {typ!r}", forger.real_one(forger.claims, forger.header | {"typ": typ})
    without = {name: value for name, value in forger.header.items() if name != "typ"}
    yield "no typ", forger.real_one(forger.claims, without)
    more: list[Json] = [
        {"crit": ["exp"], "exp": 1},
        {"crit": []},
        {"crit": ["b64"], "b64": False},
        {"crit": "x"},
        {"b64": False},
        {"zip": "DEF"},
        {"cty": "JWT"},
        {"enc": "A128GCM"},
        {"p2c": 2_000_000_000},
        {"nonce": "x"},
    ]
    for header in more:
        yield f"header {header}", forger.real_one(forger.claims, forger.header | header)
    kid = forger.header["kid"]
    twice = f'{{"alg":"none","alg":"ES256","typ":"at+jwt","kid":"{kid}"}}'.encode()
    yield "alg twice", forger.real_one(forger.claims, twice)
    twice = f'{{"kid":"x","alg":"ES256","typ":"at+jwt","kid":"{kid}"}}'.encode()
    yield "kid twice", forger.real_one(forger.claims, twice)
    for header in (b"", b"null", b"[]", b'"ES256"', b"{", b"\xff\xfe", b"{}" + b" " * 300):
        yield f"header {header[:9]!r}", forger.real_one(forger.claims, header)


def _with_other_claims(forger: Forger) -> Iterator[tuple[str, str]]:
    claims = forger.claims
    now, exp = claims["iat"], claims["exp"]
    aud, iss = claims["aud"], claims["iss"]
    values: dict[str, list[object]] = {
        "aud": ["", "https://other.example", [aud], [], None, 1, f"{aud}/", f" {aud}", aud.upper()],
        "iss": ["", "https://evil.example", f"{iss}/", None, 1, [], f"{iss}.", f"{iss}\x00"],
        "exp": [now - 1, 0, -1, str(exp), exp + 0.5, float(exp), None, True, [exp], {"exp": exp}],
        "iat": [now + 3600, str(now), float(now), None, -1, 10**30, True],
        "nbf": [now + 3600, now, 0, "x", None],
        "region": ["eu", "us", "DEV", "", None, "dev "],
        "reseller": ["rsl_eu_0123456789abcdef", "", None, 7, "*", "shw_dev_0123456789abcdef"],
        "client_id": ["oac_eu_0123456789abcdef", "", None, 7, "x"],
        # The last is of a person, and `sub` is none.
        "grant": ["", "x", None, 7, "ogr_eu_0123456789abcdef", "ogr_dev_0123456789abcdef"],
        "scope": [None, 7, ["shows:read"], {}],
        "jti": [None, 7, []],
        "sub": [None, 7, []],
        **{name: ["x"] for name in ("admin", "role", "scopes", "permissions", "act", "cnf")},
    }
    values["exp"] += [10**30, -(10**30), 2**63, 1e308, exp + 1, now + 10**9, "never", ""]
    values["reseller"] += [*(f"rsl_dev_{digit * 16}" for digit in "0f"), "RSL_DEV_0123456789ABCDEF"]
    changes: list[Json] = [{name: value} for name, listed in values.items() for value in listed]
    for change in changes:
        yield f"claims {change}"[:70], forger.real_one(claims | change)
    for name in claims:
        without = {other: value for other, value in claims.items() if other != name}
        yield f"no {name}", forger.real_one(without)
    text = json.dumps(claims)
    for name, value in (("exp", exp), ("aud", claims["aud"]), ("scope", "keys:manage")):
        twice = text[:-1] + f", {json.dumps(name)}: {json.dumps(value)}}}"
        yield f"{name} twice", forger.real_one(twice.encode())
        twice = f"{{{json.dumps(name)}: {json.dumps(value)}, " + text[1:]
        yield f"{name} twice, first", forger.real_one(twice.encode())
    for told in ("NaN", "Infinity", "-Infinity", "1e400", "01", "1e9999"):
        yield f"exp {told}", forger.real_one(text.replace(str(exp), told).encode())
    for told in (b"", b"null", b"[]", b"1", b'"x"', b"{", b"\xff", text.encode() + b"x"):
        yield f"payload {told[-5:]!r}", forger.real_one(told)
    yield "payload in UTF-16", forger.real_one(text.encode("utf-16"))
    yield "payload nested deeply", forger.real_one(b'{"exp":' + b"[" * 900)
    yield "a token in a token", forger.real_one(json.dumps(forger.token).encode())


def _with_other_signatures(forger: Forger) -> Iterator[tuple[str, str]]:
    head, _, signature = forger.token.rpartition(".")
    real = base64.urlsafe_b64decode(signature + "==")
    for place in range(0, 64, 4):
        changed = bytearray(real)
        changed[place] ^= 1
        yield f"a bit of byte {place} of the signature", f"{head}.{part(bytes(changed))}"
    der = _raw_key(forger.own).sign(head.encode(), ec.ECDSA(hashes.SHA256()))
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    for told, other in {
        "empty": b"",
        "zeros": bytes(64),
        "r = s = n": order.to_bytes(32, "big") * 2,
        "ones": b"\xff" * 64,
        "DER": der,
        "short": real[:-1],
        "long": real + b"\x00",
        "reversed": real[::-1],
        "swapped": real[32:] + real[:32],
        "doubled": real * 2,
    }.items():
        yield f"a signature of {told}", f"{head}.{part(other)}"
    wider = json.dumps(forger.claims | {"scope": "keys:manage"}).encode()
    yield (
        "another payload, the same signature",
        (f"{head.partition('.')[0]}.{part(wider)}.{signature}"),
    )


def _of_another_shape(forger: Forger) -> Iterator[tuple[str, str]]:
    head, payload, signature = forger.token.split(".")
    yield from {
        "one part": head,
        "two parts": f"{head}.{payload}",
        "four parts": f"{forger.token}.{signature}",
        "five parts": f"{head}..{payload}.{payload}.{signature}",
        "an empty header": f".{payload}.{signature}",
        "an empty payload": f"{head}..{signature}",
        "dots": "..",
        "many dots": "." * 1000,
        "padding": f"{head}.{payload}.{signature}==",
        "standard base64": f"{head}.{payload}.{signature[:-1]}+",
        "a dot in front": f".{forger.token}",
        "a line in it": f"{head}.{payload}.{signature[:40]}%0a{signature[40:]}",
        "100 KiB of header": f"{'A' * 102_400}.{payload}.{signature}",
        "100 KiB of payload": f"{head}.{'A' * 102_400}.{signature}",
        "100 KiB of signature": f"{head}.{payload}.{'A' * 102_400}",
        "JSON": json.dumps({"payload": payload, "protected": head, "signature": signature}),
    }.items()
    large = forger.claims | {"scope": " ".join(["shows:read"] * 9000)}
    yield "100 KiB that the real key signed", forger.real_one(large)


def _raw_key(key: ECKey) -> ec.EllipticCurvePrivateKey:
    private = key.private_key
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    return private
