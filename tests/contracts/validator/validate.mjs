// `node validate.mjs DOCUMENT...`: what AsyncAPI's own parser finds wrong with each document, as one line of JSON.
import { readFileSync } from 'node:fs'
import { Parser } from '@asyncapi/parser'

const PROBLEM = 1 // diagnostics of severity 0 are errors, of 1 warnings; above are hints, such as that of a newer version
const parser = new Parser()
for (const path of process.argv.slice(2)) {
  const { document, diagnostics } = await parser.parse(readFileSync(path, 'utf8'))
  const problems = diagnostics
    .filter(({ severity }) => severity <= PROBLEM)
    .map(({ path, message }) => `${path.join('.')}: ${message}`)
  console.log(JSON.stringify({ read: document !== undefined, problems }))
}
