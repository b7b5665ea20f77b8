"use strict";
/* The draw "onsale-draw-1", recomputed where it is looked at. docs/DRAW.md has it in words.
 *
 * SHA-256 (FIPS 180-4) and HMAC (RFC 2104) are its own: WebCrypto's are asynchronous, and a draw
 * needs tens of thousands of them. No number here exceeds 2**53, up to which a browser is exact.
 */
(function (root) {
  const ALGORITHM = "onsale-draw-1";
  const ROUNDS = 36;
  const COUNT_MAX = 2 ** 48;
  const COUNT_OF_SHORT_PLACES = 2 ** 32;

  /* The first 32 bits of the fractional parts of the primes' roots (FIPS 180-4, 4.2.2 and 5.3.3):
   * by whole numbers, since a browser's powers may differ in their last bits. */
  function fractionBits(prime, degree) {
    let root = 0n;
    const scaled = BigInt(prime) << BigInt(32 * degree);
    for (let bit = 1n << 36n; bit > 0n; bit >>= 1n) {
      if ((root + bit) ** BigInt(degree) <= scaled) root += bit;
    }
    return Number(root & 0xffffffffn);
  }

  const PRIMES = [];
  for (let number = 2; PRIMES.length < 64; number += 1) {
    if (PRIMES.every((prime) => number % prime)) PRIMES.push(number);
  }
  const K = Int32Array.from(PRIMES, (prime) => fractionBits(prime, 3));
  const START = Int32Array.from(PRIMES.slice(0, 8), (prime) => fractionBits(prime, 2));

  class Sha256 {
    constructor() {
      this.state = START.slice();
      this.block = new Uint8Array(64);
      this.filled = 0;
      this.length = 0;
      this.words = new Int32Array(64);
    }

    copyFrom(other) {
      this.state.set(other.state);
      this.block.set(other.block);
      this.filled = other.filled;
      this.length = other.length;
      return this;
    }

    update(bytes) {
      this.length += bytes.length;
      for (const byte of bytes) {
        this.block[this.filled] = byte;
        this.filled += 1;
        if (this.filled === 64) this.compress();
      }
      return this;
    }

    compress() {
      const { block, words, state } = this;
      for (let i = 0; i < 16; i += 1) {
        const at = 4 * i;
        words[i] =
          (block[at] << 24) | (block[at + 1] << 16) | (block[at + 2] << 8) | block[at + 3];
      }
      for (let i = 16; i < 64; i += 1) {
        const x = words[i - 15];
        const y = words[i - 2];
        const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
        const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
        words[i] = (words[i - 16] + s0 + words[i - 7] + s1) | 0;
      }
      let [a, b, c, d, e, f, g, h] = state;
      for (let i = 0; i < 64; i += 1) {
        const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
        const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[i] + words[i]) | 0;
        const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
        const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
        h = g;
        g = f;
        f = e;
        e = (d + t1) | 0;
        d = c;
        c = b;
        b = a;
        a = (t1 + t2) | 0;
      }
      state[0] += a;
      state[1] += b;
      state[2] += c;
      state[3] += d;
      state[4] += e;
      state[5] += f;
      state[6] += g;
      state[7] += h;
      this.filled = 0;
    }

    digest() {
      const bits = this.length * 8;
      this.block.fill(0, this.filled);
      this.block[this.filled] = 0x80;
      if (this.filled > 55) {
        this.compress();
        this.block.fill(0);
      }
      const tail = new DataView(this.block.buffer);
      tail.setUint32(56, Math.floor(bits / 2 ** 32));
      tail.setUint32(60, bits % 2 ** 32);
      this.compress();
      const out = new Uint8Array(32);
      const view = new DataView(out.buffer);
      this.state.forEach((word, i) => view.setInt32(4 * i, word));
      return out;
    }
  }

  function sha256(bytes) {
    return new Sha256().update(bytes).digest();
  }

  class Hmac {
    constructor(key) {
      const padded = new Uint8Array(64);
      padded.set(key.length > 64 ? sha256(key) : key);
      this.inner = new Sha256().update(padded.map((byte) => byte ^ 0x36));
      this.outer = new Sha256().update(padded.map((byte) => byte ^ 0x5c));
      this.hash = new Sha256();
    }

    digest(message) {
      const inside = this.hash.copyFrom(this.inner).update(message).digest();
      return this.hash.copyFrom(this.outer).update(inside).digest();
    }
  }

  function fromHex(text) {
    if (typeof text !== "string" || !/^([0-9a-f]{2})*$/i.test(text)) {
      throw new Error("not of hexadecimal digits");
    }
    return Uint8Array.from(text.match(/../g) ?? [], (digits) => parseInt(digits, 16));
  }

  function toHex(bytes) {
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  /* The key: the beacon's value is an empty text where there is none. */
  function deriveKey(secretHex, show, count, beaconHex) {
    const words = new TextEncoder().encode(`${ALGORITHM}\0${show}\0${count}\0`);
    const value = fromHex(beaconHex);
    const message = new Uint8Array(words.length + value.length);
    message.set(words);
    message.set(value, words.length);
    return new Hmac(fromHex(secretHex)).digest(message);
  }

  class Draw {
    constructor(key, count) {
      if (!Number.isSafeInteger(count) || count < 0 || count > COUNT_MAX) {
        throw new Error(`a draw has 0 to 2**48 entries, not ${count}`);
      }
      this.count = count;
      this.hmac = new Hmac(key);
      this.width = Math.ceil(Math.sqrt(count));
      while (this.width * this.width < count) this.width += 1;
      while (this.width > 1 && (this.width - 1) * (this.width - 1) >= count) this.width -= 1;
      this.width = Math.max(2, this.width + (this.width % 2));
      this.height = Math.max(1, Math.ceil(count / this.width));
      this.values = null;
      this.message = new Uint8Array(9);
    }

    /* All values of all rounds: they depend on one half of a number only. */
    prepare() {
      if (this.values !== null) return;
      this.values = [];
      for (let round = 0; round < ROUNDS; round += 1) {
        const halves = round % 2 ? this.width : this.height;
        this.values.push(Uint32Array.from({ length: halves }, (_, half) => this.value(round, half)));
      }
    }

    value(round, half) {
      const view = new DataView(this.message.buffer);
      view.setUint8(0, round);
      view.setUint32(1, 0);
      view.setUint32(5, half);
      const mac = new DataView(this.hmac.digest(this.message).buffer);
      const modulus = round % 2 ? this.height : this.width;
      let rest = 0;
      for (let at = 0; at < 32; at += 2) rest = (rest * 65536 + mac.getUint16(at)) % modulus;
      return rest;
    }

    walk(point) {
      const { width, height, values } = this;
      let right = Math.floor(point / width);
      let left = point - right * width;
      for (let round = 0; round < ROUNDS; round += 2) {
        left += values ? values[round][right] : this.value(round, right);
        if (left >= width) left -= width;
        right += values ? values[round + 1][left] : this.value(round + 1, left);
        if (right >= height) right -= height;
      }
      return left + width * right;
    }

    place(entry) {
      if (!Number.isSafeInteger(entry) || entry < 0 || entry >= this.count) {
        throw new RangeError(`${entry} is not among ${this.count} entries`);
      }
      let point = this.walk(entry);
      while (point >= this.count) point = this.walk(point);
      return point;
    }
  }

  /* The SHA-256 of all places, taken in parts so that a page stays alive: `advance` takes the next
   * entries and returns how many are done. */
  class Digest {
    constructor(draw) {
      this.draw = draw;
      this.hash = new Sha256();
      this.done = 0;
      this.size = draw.count <= COUNT_OF_SHORT_PLACES ? 4 : 8;
    }

    advance(most) {
      this.draw.prepare();
      const many = Math.min(most, this.draw.count - this.done);
      const bytes = new Uint8Array(this.size * many);
      const view = new DataView(bytes.buffer);
      for (let i = 0; i < many; i += 1) {
        const place = this.draw.place(this.done + i);
        const at = this.size * (i + 1);
        view.setUint32(at - 4, place % 2 ** 32);
        if (this.size === 8) view.setUint32(at - 8, Math.floor(place / 2 ** 32));
      }
      this.hash.update(bytes);
      this.done += many;
      return this.done;
    }

    hex() {
      return toHex(this.hash.digest());
    }
  }

  const face = { ALGORITHM, Digest, Draw, Hmac, deriveKey, fromHex, sha256, toHex };
  if (typeof module === "object") module.exports = face;
  else root.OnsaleDraw = face;
})(this);
