// Compiles src/ with the pinned solc and writes the artifacts that the Python package ships.
// `--check` writes nothing and fails if the committed artifacts are not what the sources give.
// `--stdout` prints them as one JSON object.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const contractNames = ["CDistriM", "CDistriMViews"];
const pathOf = (name) => join(here, "..", "cdistrim", "ledger", `${name}.json`);

// Kept equal to foundry.toml: what is tested is what is shipped. Few runs and the IR pipeline are for
// size: the contract has to stay below 24,576 bytes (EIP-170).
const settings = {
  evmVersion: "cancun",
  optimizer: { enabled: true, runs: 1 },
  viaIR: true,
  metadata: { bytecodeHash: "none", appendCBOR: false },
};

function readSources() {
  const names = readdirSync(join(here, "src")).filter((name) => name.endsWith(".sol")).sort();
  return Object.fromEntries(
    names.map((name) => [`src/${name}`, { content: readFileSync(join(here, "src", name), "utf8") }]),
  );
}

// SHA-256 over each file's name and content, each ended by a zero byte, in order of name.
function digestOf(sources) {
  const hash = createHash("sha256");
  for (const [name, { content }] of Object.entries(sources)) hash.update(`${name}\0${content}\0`);
  return hash.digest("hex");
}

function readImport(path) {
  return { contents: readFileSync(join(here, "node_modules", path), "utf8") };
}

function compile() {
  const solc = createRequire(import.meta.url)("solc");
  const sources = readSources();
  const outputSelection = {
    "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object",
                 "evm.deployedBytecode.immutableReferences"] },
  };
  const input = { language: "Solidity", sources, settings: { ...settings, outputSelection } };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: readImport }));
  const problems = output.errors ?? [];
  for (const problem of problems) process.stderr.write(problem.formattedMessage + "\n");
  if (problems.length > 0) {
    process.stderr.write("The sources must compile without errors and warnings.\n");
    process.exit(1);
  }
  return contractNames.map((contractName) => {
    const contract = output.contracts[`src/${contractName}.sol`][contractName];
    return {
      contractName,
      abi: contract.abi,
      bytecode: "0x" + contract.evm.bytecode.object,
      deployedBytecode: "0x" + contract.evm.deployedBytecode.object,
      immutableReferences: contract.evm.deployedBytecode.immutableReferences ?? {},
      compiler: { version: solc.version(), settings },
      sourceDigest: digestOf(sources),
    };
  });
}

const artifacts = compile();
if (process.argv.includes("--stdout")) {
  const byName = artifacts.map((artifact) => [artifact.contractName, artifact]);
  process.stdout.write(JSON.stringify(Object.fromEntries(byName)) + "\n");
}
for (const artifact of process.argv.includes("--stdout") ? [] : artifacts) {
  const path = pathOf(artifact.contractName);
  const text = JSON.stringify(artifact, null, 1) + "\n";
  const size = (artifact.deployedBytecode.length - 2) / 2;
  if (!process.argv.includes("--check")) {
    writeFileSync(path, text);
    process.stdout.write(`Wrote ${path} (${size} of 24576 bytes).\n`);
  } else if (readFileSync(path, "utf8") === text) {
    process.stdout.write(`${path} is what src/ compiles to (${size} of 24576 bytes).\n`);
  } else {
    process.stderr.write(`${path} is not what src/ compiles to. Run \`make contracts\`.\n`);
    process.exit(1);
  }
}
