// Kernels in V8: for every line of standard input, which is a kernel's number, runs it and prints the CPU time, ns, and
// the checksum. What a kernel's module imports is never called. The first line says how long compiling took, ns.
'use strict';
const fs = require('fs');
const readline = require('readline');

const start = process.hrtime.bigint();
const kernels = process.argv.slice(2).map((path) => {
  const module = new WebAssembly.Module(fs.readFileSync(path));
  const imports = {};
  for (const entry of WebAssembly.Module.imports(module)) {
    imports[entry.module] = imports[entry.module] || {};
    imports[entry.module][entry.name] = () => 0;
  }
  return new WebAssembly.Instance(module, imports).exports.kernel;
});
console.log(String(process.hrtime.bigint() - start));
readline.createInterface({input: process.stdin}).on('line', (line) => {
  const before = process.cpuUsage();
  const checksum = kernels[Number(line)]();
  const used = process.cpuUsage(before);
  console.log(`${(used.user + used.system) * 1000} ${BigInt.asUintN(64, checksum).toString(16).padStart(16, '0')}`);
});
