#!/usr/bin/env node
// Lets forge use npm's solc: the two calls that forge makes of a compiler, `--version` and
// `--standard-json` (input on stdin). Other options only name paths, which standard JSON ignores.
import { readFileSync, writeSync } from "node:fs";
import { createRequire } from "node:module";

const solc = createRequire(import.meta.url)("solc");

function print(text) {
  const bytes = Buffer.from(text);
  let done = 0;
  while (done < bytes.length) {
    try {
      done += writeSync(1, bytes, done);
    } catch (error) {
      if (error.code !== "EAGAIN") throw error; // the pipe is full: forge is still reading
    }
  }
}

const options = process.argv.slice(2);
if (options.includes("--version")) {
  const version = solc.version().replace(/\.Emscripten.*/, ".Linux.g++");
  print(`solc, the solidity compiler commandline interface\nVersion: ${version}\n`);
} else if (options.includes("--standard-json")) {
  print(solc.compile(readFileSync(0, "utf8")));
} else {
  process.stderr.write(`solc-node.mjs knows --version and --standard-json, not: ${options.join(" ")}\n`);
  process.exit(2);
}
