/** `quipu models`: which models there are, who has them, who should, and what is done about it. */
import { clientOf } from './client.ts'
import { deedIn } from './deed.ts'
import { list } from './models/list.ts'
import { optimize } from './models/optimize.ts'
import { cancel, pull } from './models/pull.ts'
import { remove } from './models/remove.ts'
import { status } from './models/status.ts'
import { sync } from './models/sync.ts'
import { houseOptions } from './settings.ts'
import { type Given, jsonOption, misused, type Options, type Verb } from './verb.ts'

export const models: Verb = {
  usage: [
    'models [ls]',
    'models status [NAME]',
    'models pull NAME [--nodes A,B | --all | --auto N]',
    'models cancel NAME [--nodes A,B]',
    'models rm NAME [--nodes A,B]',
    'models sync [NAME]',
    'models optimize',
  ],
  about:
    'Lists every model of the fleet, and the nodes that have it; a star marks those that have it in memory (ls). Tells ' +
    'how each stands to what its policy wants (status), brings one to nodes and shows how far it has come (pull), ' +
    'calls that off (cancel), removes one (rm), makes true what policies want of copies (sync), and says where a copy ' +
    'more, or one less, would serve better (optimize). `quipu policy` says what is wanted.',
  options: {
    nodes: { value: 'A,B', sentence: 'pull, cancel, rm: these nodes' },
    all: { sentence: 'pull: to every node that may have it' },
    auto: { value: 'N', fallback: '1', sentence: 'pull: to so many nodes, which the house chooses' },
    'no-wait': { sentence: 'pull: do not wait until it is there' },
    force: { sentence: 'rm: even what its policy needs' },
    'dry-run': { sentence: 'sync: only say what would be done' },
    apply: { sentence: 'optimize: do it' },
    ...houseOptions,
    ...jsonOption,
  },
  examples: [
    ['quipu models', 'what can be asked for, and who can answer'],
    ['quipu models --json | jq -r ".[].name"', 'the names alone'],
    ['quipu models pull llama3.2 --nodes gpu-a,gpu-b', 'one after the other, a bar each'],
    ['quipu models pull qwen3:32b --auto 2', 'where there is room, and where it is asked for'],
    ['quipu models sync --dry-run', 'what policies want, and the house would do'],
  ],
  wordsMax: 2,
  async run(given) {
    const asked = given.words.length === 0 ? ['ls'] : given.words
    const { name, deed, words } = deedIn(deeds, asked, { verb: 'models' })
    const { options = [] } = deed
    for (const flag of OWN) {
      const used = given.flags[flag] !== undefined || given.switches.has(flag)
      if (used && !options.includes(flag)) throw misused(`--${flag} does not go with models ${name}`)
    }
    await deed.run(clientOf(given), given, words[0])
  },
}

const OWN = [
  'nodes',
  'all',
  'auto',
  'no-wait',
  'force',
  'dry-run',
  'apply',
] as const satisfies readonly (keyof Options)[]

interface Deed {
  /** Of the options above. */
  readonly options?: readonly string[]
  readonly words: readonly string[]
  readonly run: (client: ReturnType<typeof clientOf>, given: Given, model?: string) => Promise<void>
}

const deeds: Readonly<Record<string, Deed>> = {
  ls: { words: [], run: list },
  status: { words: ['[NAME]'], run: status },
  pull: { words: ['NAME'], options: ['nodes', 'all', 'auto', 'no-wait'], run: pull },
  cancel: { words: ['NAME'], options: ['nodes'], run: cancel },
  rm: { words: ['NAME'], options: ['nodes', 'force'], run: remove },
  sync: { words: ['[NAME]'], options: ['dry-run'], run: sync },
  optimize: { words: [], options: ['apply'], run: optimize },
}
