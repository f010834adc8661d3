// SPDX-License-Identifier: MIT
// Time npm's eventsource-parser in this one process. Usage: node eventsource_parser.mjs manifest.json, which holds
// {budget: seconds for each cell, cells: [{shape, cut, file, sizes: [bytes of each chunk]}]}; writes JSON to standard output.
//
// The parser takes text. Both of Node's incremental decoders are measured: TextDecoder, which the package's documentation has
// before it (as TextDecoderStream), and StringDecoder, which only Node has.

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { StringDecoder } from 'node:string_decoder'
import { createParser } from 'eventsource-parser'

const textDecoder = () => {
  const decoder = new TextDecoder()
  return { decode: (chunk) => decoder.decode(chunk, { stream: true }), end: () => decoder.decode() }
}
const stringDecoder = () => {
  const decoder = new StringDecoder('utf8')
  return { decode: (chunk) => decoder.write(chunk), end: () => decoder.end() }
}

const run = (makeDecoder, chunks, onEvent) => {
  const decoder = makeDecoder()
  const parser = createParser({ onEvent })
  for (const chunk of chunks) parser.feed(decoder.decode(chunk))
  parser.feed(decoder.end())
}

// Each event is kept until the next one, so that no compiler may leave out making it.
export let last

const best = (makeDecoder, chunks, budget) => {
  let least = Infinity
  let total = 0
  for (let runs = 0; runs < 10 || (total < budget * 1e9 && runs < 3000); runs++) {
    const start = process.hrtime.bigint()
    run(makeDecoder, chunks, (event) => { last = event })
    const took = Number(process.hrtime.bigint() - start)
    total += took
    least = Math.min(least, took)
  }
  return least
}

const { budget, cells } = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const results = cells.map(({ shape, cut, file, sizes }) => {
  const bytes = readFileSync(file)
  let end = 0
  const chunks = sizes.map((size) => bytes.subarray(end, (end += size)))
  const hash = createHash('sha256')
  let events = 0
  run(textDecoder, chunks, (event) => {
    events++
    hash.update(`${event.event || 'message'}\0${event.data}\0${event.id || ''}\0`)
  })
  const times = { TextDecoder: best(textDecoder, chunks, budget), StringDecoder: best(stringDecoder, chunks, budget) }
  return { shape, cut, events, digest: hash.digest('hex'), times }
})
process.stdout.write(JSON.stringify({ node: process.versions.node, v8: process.versions.v8, results }))
