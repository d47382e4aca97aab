// SPDX-License-Identifier: Apache-2.0
//
// Runs modules in V8: node node.mjs ROUNDS FUEL ORIGINAL REWRITTEN. The world of the guest is that of host.go. Prints JSON.
import { readFileSync } from 'node:fs'

const [rounds, fuel, ...paths] = process.argv.slice(2)
class Exit extends Error {}

function world(stdout) {
  let memory, clock = 946684800000000000n, random = 1
  const view = () => new DataView(memory.buffer), bytes = () => new Uint8Array(memory.buffer)
  const set = (at, v) => view().setUint32(at >>> 0, v, true)
  const wasi = {
    proc_exit(code) { throw new Exit(String(code)) },
    args_sizes_get(n, size) { set(n, 1); set(size, 6); return 0 },
    args_get(list, text) { set(list, text); bytes().set([103, 117, 101, 115, 116, 0], text >>> 0); return 0 },
    environ_sizes_get(n, size) { set(n, 0); set(size, 0); return 0 },
    environ_get: () => 0, fd_close: () => 0, fd_fdstat_set_flags: () => 0, sched_yield: () => 0,
    clock_time_get(id, precision, at) { clock += 1000000n; view().setBigUint64(at >>> 0, clock, true); return 0 },
    random_get(at, n) {
      const b = bytes()
      for (let i = 0; i < n; i++) {
        random = (Math.imul(random, 1664525) + 1013904223) >>> 0
        b[(at >>> 0) + i] = random >>> 24
      }
      return 0
    },
    fd_write(fd, list, count, written) {
      let n = 0
      for (let i = 0; i < count; i++) {
        const at = view().getUint32(list + 8 * i, true), size = view().getUint32(list + 8 * i + 4, true)
        stdout.push(Buffer.from(bytes().slice(at, at + size)))
        n += size
      }
      set(written, n)
      return 0
    },
    fd_fdstat_get(fd, at) { bytes().fill(0, at >>> 0, (at >>> 0) + 24)[at >>> 0] = 2; return 0 },
    poll_oneoff(from, to, count, happened) {
      const b = bytes()
      for (let i = 0; i < count; i++) {
        b.fill(0, to + 32 * i, to + 32 * i + 32)
        b.copyWithin(to + 32 * i, from + 48 * i, from + 48 * i + 8)
        b[to + 32 * i + 10] = b[from + 48 * i + 8]
        clock += 1000000n
      }
      set(happened, count)
      return 0
    },
    fd_seek: () => 70, fd_prestat_get: () => 8, fd_prestat_dir_name: () => 8,
  }
  const imports = new Proxy(wasi, { get: (target, name) => target[name] ?? (() => 52), has: () => true })
  return { imports, attach: (m) => { memory = m } }
}

function run(module) {
  const stdout = [], { imports, attach } = world(stdout)
  const start = process.cpuUsage()
  const instance = new WebAssembly.Instance(module, { wasi_snapshot_preview1: imports })
  attach(instance.exports.memory)
  const counter = instance.exports['glovebox:fuel']
  if (counter) counter.value = BigInt(fuel)
  try {
    instance.exports._start()
  } catch (e) {
    if (!(e instanceof Exit) || e.message !== '0') throw e
  }
  const used = process.cpuUsage(start), nanos = (used.user + used.system) * 1000
  return { nanos, fuel: counter ? Number(BigInt(fuel) - counter.value) : 0, output: Buffer.concat(stdout).toString() }
}

const programs = paths.map((path) => {
  const bytes = readFileSync(path), start = process.cpuUsage(), module = new WebAssembly.Module(bytes), used = process.cpuUsage(start)
  return { module, compile: (used.user + used.system) * 1000, runs: [] }
})
for (let i = 0; i < Number(rounds); i++) for (const p of programs) p.runs.push(run(p.module))
console.log(JSON.stringify(programs.map(({ compile, runs }) => ({ compile, runs }))))
