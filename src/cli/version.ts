/** `quipu version`: which Quipu, on which Node. */
import { release } from './release.ts'
import { say, sayJson } from './terminal.ts'
import { jsonOption, type Verb } from './verb.ts'

export const version: Verb = {
  usage: ['version'],
  about: 'Says which Quipu this is, and which Node it runs on.',
  options: jsonOption,
  examples: [['quipu version', 'print both']],
  async run({ switches }) {
    const said = {
      quipu: release(),
      node: process.versions.node,
      platform: `${process.platform} ${process.arch}`,
    }
    if (switches.has('json')) return sayJson(said)
    say(`quipu ${said.quipu}`)
    say(`node  ${said.node} (${said.platform})`)
  },
}
