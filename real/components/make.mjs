// Makes a component of a module of JavaScript: node make.mjs SOURCE WIT OUTPUT

import { readFile, writeFile } from "node:fs/promises";
import { componentize } from "@bytecodealliance/componentize-js";

const [source, witPath, output] = process.argv.slice(2);
const made = await componentize(await readFile(source, "utf8"), { witPath, worldName: "app" });
await writeFile(output, made.component);
