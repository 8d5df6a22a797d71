// Compiles src/ with the pinned solc and writes the artifact that the Python package ships.
// `--check` writes nothing and fails if the committed artifact is not what the sources give.
// `--stdout` prints the artifact.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const artifactPath = join(here, "..", "cdistrim", "ledger", "CDistriM.json");
const contractName = "CDistriM";

// Kept equal to foundry.toml: what is tested is what is shipped.
const settings = {
  evmVersion: "cancun",
  optimizer: { enabled: true, runs: 200 },
  viaIR: false,
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

function compile() {
  const solc = createRequire(import.meta.url)("solc");
  const sources = readSources();
  const outputSelection = {
    "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object",
                 "evm.deployedBytecode.immutableReferences"] },
  };
  const output = JSON.parse(solc.compile(JSON.stringify({
    language: "Solidity", sources, settings: { ...settings, outputSelection },
  })));
  const problems = output.errors ?? [];
  for (const problem of problems) process.stderr.write(problem.formattedMessage + "\n");
  if (problems.length > 0) {
    process.stderr.write("The sources must compile without errors and warnings.\n");
    process.exit(1);
  }
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
}

const artifact = compile();
const text = JSON.stringify(artifact, null, 1) + "\n";
const size = (artifact.deployedBytecode.length - 2) / 2;
if (process.argv.includes("--stdout")) {
  process.stdout.write(text);
} else if (process.argv.includes("--check")) {
  if (readFileSync(artifactPath, "utf8") !== text) {
    process.stderr.write(`${artifactPath} is not what src/ compiles to. Run \`make contracts\`.\n`);
    process.exit(1);
  }
  process.stdout.write(`The artifact is what src/ compiles to (${size} of 24576 bytes).\n`);
} else {
  writeFileSync(artifactPath, text);
  process.stdout.write(`Wrote ${artifactPath} (${size} of 24576 bytes).\n`);
}
