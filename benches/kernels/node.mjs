// Runs a kernel in V8: reads how often, prints nanoseconds and checksum.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const { instance } = await WebAssembly.instantiate(readFileSync(process.argv[2]), {});
for await (const line of createInterface({ input: process.stdin })) {
    const start = process.hrtime.bigint();
    const sum = instance.exports.run(Number(line));
    const end = process.hrtime.bigint();
    console.log(`${end - start} ${BigInt.asUintN(64, sum)}`);
}
