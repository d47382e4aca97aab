// SPDX-License-Identifier: Apache-2.0

// Runs admitted modules in V8, for a comparison with wazero: results, memory and fuel. Standard input holds one job in
// each line: {"wasm": base64, "fuel": "n", "call": name, "args": ["bits", ...], "types": [bytes], "results": [bytes],
// "globals": [names], "wasi": [arguments] or null}. Each gets one line of answer.
import { createHash } from 'node:crypto';
import { createInterface } from 'node:readline';

const view = new DataView(new ArrayBuffer(8));

function fromBits(type, bits) {
  view.setBigUint64(0, BigInt(bits), true);
  switch (type) {
    case 0x7f: return view.getInt32(0, true);
    case 0x7e: return view.getBigInt64(0, true);
    case 0x7d: return view.getFloat32(0, true);
    default: return view.getFloat64(0, true);
  }
}

function toBits(type, value) {
  view.setBigUint64(0, 0n, true);
  switch (type) {
    case 0x7f: view.setInt32(0, value, true); break;
    case 0x7e: view.setBigInt64(0, value, true); break;
    case 0x7d: if (Number.isNaN(value)) return 'nan'; view.setFloat32(0, value, true); break;
    default: if (Number.isNaN(value)) return 'nan'; view.setFloat64(0, value, true);
  }
  return view.getBigUint64(0, true).toString();
}

class Exit extends Error {}

// wasi is as little of WASI as the guests of this test need. The host in v8_test.go does the same, call for call: a clock
// of one millisecond a call, zeroes for random bytes, no files.
function wasi(args, instance, out) {
  let now = 1000000000000000000n;
  const memory = () => new DataView(instance().exports.memory.buffer);
  const charge = (n) => { instance().exports['glovebox:fuel'].value -= BigInt(n); };
  const strings = args.map((a) => Buffer.from(a + '\0'));
  return {
    args_sizes_get: (count, size) => {
      memory().setUint32(count, strings.length, true);
      memory().setUint32(size, strings.reduce((n, s) => n + s.length, 0), true);
      return 0;
    },
    args_get: (list, at) => {
      for (const s of strings) {
        memory().setUint32(list, at, true);
        new Uint8Array(instance().exports.memory.buffer).set(s, at);
        list += 4; at += s.length;
      }
      return 0;
    },
    environ_sizes_get: (count, size) => { memory().setUint32(count, 0, true); memory().setUint32(size, 0, true); return 0; },
    environ_get: () => 0,
    clock_time_get: (id, precision, at) => { now += 1000000n; memory().setBigUint64(at, now, true); return 0; },
    random_get: (at, n) => { new Uint8Array(instance().exports.memory.buffer, at, n).fill(0); charge(n); return 0; },
    fd_write: (fd, list, n, written) => {
      let total = 0;
      for (let i = 0; i < n; i++) {
        const at = memory().getUint32(list + 8 * i, true), size = memory().getUint32(list + 8 * i + 4, true);
        out.push(Buffer.from(new Uint8Array(instance().exports.memory.buffer, at, size)));
        total += size;
      }
      memory().setUint32(written, total, true);
      charge(total);
      return 0;
    },
    fd_fdstat_get: (fd, at) => {
      if (fd > 2) return 8;
      new Uint8Array(instance().exports.memory.buffer, at, 24).fill(0);
      memory().setUint8(at, 2); memory().setBigUint64(at + 8, 0xffffffffn, true);
      return 0;
    },
    poll_oneoff: (subscriptions, events, n, count) => {
      new Uint8Array(instance().exports.memory.buffer, events, 32 * n).fill(0);
      memory().setUint32(count, n, true);
      now += 1000000000n;
      return 0;
    },
    sched_yield: () => 0,
    proc_exit: (code) => { throw new Exit(String(code)); },
  };
}

function run(job) {
  const module = new WebAssembly.Module(Buffer.from(job.wasm, 'base64'));
  const out = [];
  let instance;
  const imports = {};
  if (job.wasi) {
    const known = wasi(job.wasi, () => instance, out);
    for (const i of WebAssembly.Module.imports(module)) {
      (imports[i.module] ??= {})[i.name] = known[i.name] ?? (() => 8);
    }
  }
  instance = new WebAssembly.Instance(module, imports);
  const fuel = instance.exports['glovebox:fuel'];
  fuel.value = BigInt(job.fuel);
  const answer = { trap: '', results: [] };
  try {
    let r = instance.exports[job.call](...job.args.map((a, i) => fromBits(job.types[i], a)));
    if (!Array.isArray(r)) r = r === undefined ? [] : [r];
    answer.results = r.map((v, i) => toBits(job.results[i], v));
  } catch (e) {
    answer.trap = e instanceof Exit ? 'exit ' + e.message : 'trap: ' + e.message;
  }
  answer.left = fuel.value.toString();
  answer.output = Buffer.concat(out).toString();
  answer.memory = createHash('sha256').update(new Uint8Array(instance.exports.memory.buffer)).digest('hex');
  answer.globals = job.globals.map((g) => String(instance.exports[g].value));
  return answer;
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(run(JSON.parse(line))));
}
