// Solves a proof of work: finds a nonce with which the SHA-256 of "<challenge>.<nonce>" begins with
// so many zero bits. Own SHA-256 (FIPS 180-4), since the browser's answers one hash at a time, and
// only on secure pages. It works in slices of some milliseconds, so that the page stays usable;
// between them by messages, which browsers do not slow down in background tabs as they do timers.

const SLICE_MS = 10;
const TRIES_BETWEEN_CLOCK_LOOKS = 256;

const ROUND_CONSTANTS = fractionsOfRoots(64, 1 / 3);
const INITIAL_STATE = fractionsOfRoots(8, 1 / 2);

/**
 * Returns the proof "<challenge>.<nonce>"; `bits` of 0 to 32.
 * `options.signal` (an AbortSignal) stops it, which rejects with the signal's reason;
 * `options.onProgress` is told the number of tries after each slice: 2 ** bits is the average.
 */
export async function solveProof(challenge, bits, options = {}) {
  const { signal, onProgress } = options;
  const search = beginSearch(challenge, bits);
  for (;;) {
    signal?.throwIfAborted();
    const { nonce, tried } = search(SLICE_MS);
    if (nonce !== null) return `${challenge}.${nonce}`;
    onProgress?.(tried);
    await rest();
  }
}

function beginSearch(challenge, bits) {
  const head = new TextEncoder().encode(`${challenge}.`);
  let tried = 0;
  return (sliceMs) => {
    const end = performance.now() + sliceMs;
    do {
      for (let n = 0; n < TRIES_BETWEEN_CLOCK_LOOKS; n += 1) {
        const nonce = String(tried);
        tried += 1;
        if (hasZeroBits(sha256(head, nonce), bits)) return { nonce, tried };
      }
    } while (performance.now() < end);
    return { nonce: null, tried };
  };
}

function hasZeroBits(digest, bits) {
  return bits === 0 || digest[0] >>> (32 - bits) === 0;
}

const words = new Uint32Array(64);
const block = new Uint8Array(64);
const blockView = new DataView(block.buffer);
const state = new Uint32Array(8);

/** Returns the digest of head and tail (ASCII) as eight words, which the next call overwrites. */
export function sha256(head, tail) {
  const length = head.length + tail.length;
  state.set(INITIAL_STATE);
  let at = 0;
  for (let n = 0; n < length; n += 1) {
    block[at] = n < head.length ? head[n] : tail.charCodeAt(n - head.length);
    at += 1;
    if (at === 64) {
      compress();
      at = 0;
    }
  }
  block[at] = 0x80;
  block.fill(0, at + 1);
  if (at >= 56) {
    compress();
    block.fill(0);
  }
  blockView.setUint32(60, length * 8);
  compress();
  return state;
}

function compress() {
  for (let n = 0; n < 16; n += 1) {
    const at = n * 4;
    words[n] = (block[at] << 24) | (block[at + 1] << 16) | (block[at + 2] << 8) | block[at + 3];
  }
  for (let n = 16; n < 64; n += 1) {
    const early = words[n - 15];
    const late = words[n - 2];
    const small0 = rotate(early, 7) ^ rotate(early, 18) ^ (early >>> 3);
    const small1 = rotate(late, 17) ^ rotate(late, 19) ^ (late >>> 10);
    words[n] = words[n - 16] + small0 + words[n - 7] + small1;
  }
  let a = state[0];
  let b = state[1];
  let c = state[2];
  let d = state[3];
  let e = state[4];
  let f = state[5];
  let g = state[6];
  let h = state[7];
  for (let n = 0; n < 64; n += 1) {
    const big1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
    const one = (h + big1 + ((e & f) ^ (~e & g)) + ROUND_CONSTANTS[n] + words[n]) | 0;
    const big0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
    const two = (big0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + one) | 0;
    d = c;
    c = b;
    b = a;
    a = (one + two) | 0;
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
  state[4] += e;
  state[5] += f;
  state[6] += g;
  state[7] += h;
}

function rotate(word, by) {
  return (word >>> by) | (word << (32 - by));
}

/** Returns the first 32 bits of the fractional parts of a root of the first primes. */
function fractionsOfRoots(count, exponent) {
  const fractions = [];
  for (let candidate = 2; fractions.length < count; candidate += 1) {
    let isPrime = true;
    for (let n = 2; n * n <= candidate; n += 1) isPrime &&= candidate % n !== 0;
    if (isPrime) fractions.push(Math.floor((candidate ** exponent % 1) * 2 ** 32));
  }
  return new Uint32Array(fractions);
}

// A channel each time: Node hands over up to a thousand of one channel's messages in one turn.
function rest() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}
