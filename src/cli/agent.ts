/** `quipu agent`: beside one Ollama server, on its machine; what a house asks for goes through it. */
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { openAgent } from '../agent/agent.ts'
import { certified } from '../agent/certified.ts'
import { openMachine } from '../agent/hardware/machine.ts'
import { type Introductions, inPlainText } from '../agent/introductions.ts'
import { systemClock } from '../clock.ts'
import { modelsFolders, ollamaEnvironment, readConfig } from '../config.ts'
import { Failure } from '../failure.ts'
import { statuses } from '../gateway/refusals.ts'
import { addressOf, checkAddress } from '../ollama/address.ts'
import { readHouse, readIdentity, tryFolder, writeIdentity } from '../pki/files.ts'
import { type Identity, Papers } from '../pki/papers.ts'
import { describe } from '../pki/request.ts'
import { hostAndPort, remedyOf } from '../rpc/credentials.ts'
import { join, joinOptions } from './join.ts'
import { release } from './release.ts'
import { aborted, interruption, stayingFor } from './signals.ts'
import { remark, say, tinted } from './terminal.ts'
import { type Given, listOf, misused, textOf, type Verb, wholeOf } from './verb.ts'

const DATA = './agent'
/** What closing may take beyond the grace that calls under way are given. */
const CLOSE_MS = 2_000
/** Docker kills after ten seconds. */
const GRACE_MS = 7_000
const COUNT_MAX = 1_024

export const agent: Verb = {
  usage: ['agent [run]', 'agent join'],
  about:
    'Runs beside one Ollama server until Ctrl-C. It dials the house, so that nobody need reach this machine, and carries ' +
    'what the house asks of Ollama, which may listen on 127.0.0.1 only. It tells the house what the machine is and how ' +
    'busy, and changes models there when the house says so; it does nothing else. `join` comes once before that: the ' +
    'house makes a token (`quipu pki invite NODE`), and the agent gets its certificate for it.',
  options: {
    house: {
      value: 'HOST:PORT',
      fallback: 'where it has joined',
      sentence: 'where the house listens for agents (`quipu serve --agents`)',
    },
    ...joinOptions,
    listen: {
      value: 'HOST:PORT',
      sentence: 'wait to be dialled, too: for a house that has this node as grpc://HOST:PORT',
    },
    ollama: {
      value: 'URL',
      fallback: 'OLLAMA_HOST, else 127.0.0.1:11434',
      sentence: 'the Ollama server that it speaks for; no other is asked anything',
    },
    data: { value: 'DIR', fallback: DATA, sentence: 'folder of its certificate and key' },
    models: {
      value: 'DIR',
      fallback: 'OLLAMA_MODELS, else where Ollama keeps them',
      sentence: 'the folder of its models, where this agent may read it',
    },
    name: { value: 'NAME', sentence: 'name of the node, with --insecure; otherwise the certificate says it' },
    insecure: { sentence: 'speak in plain text, on this machine only: to try things out' },
    slots: { value: 'N', sentence: 'requests at once per model that Ollama takes' },
    resident: { value: 'N', sentence: 'models in memory at once' },
    label: {
      value: 'KEY=VALUE',
      sentence: 'a label of the node, as with `quipu nodes add`; repeatable',
      list: true,
    },
  },
  wordsMax: 1,
  examples: [
    ['quipu agent join --house house.lan:11436 --token quipu-…', 'once, as `quipu pki invite` printed it'],
    ['quipu agent', 'from then on, beside the Ollama of this machine'],
    [
      'quipu agent --house 127.0.0.1:11436 --insecure --name here',
      'to try it out on one machine, with `quipu serve --agents 127.0.0.1:11436 --insecure`',
    ],
  ],
  endures: true,
  async run(given) {
    const [deed = 'run'] = given.words
    if (deed === 'join') return join(given, dataOf(given))
    if (deed !== 'run') throw misused(`quipu agent knows run and join, and not "${deed}"`)
    if (given.flags.token !== undefined) throw misused('--token goes with agent join')
    await carryOn(given)
  },
}

async function carryOn(given: Given): Promise<void> {
  const listen = textOf(given, 'listen')
  const warn = (message: string): void => remark(`quipu agent: ${message}`)
  const { name, introductions, home } = await who(given, warn)
  const house = textOf(given, 'house') ?? (listen === undefined ? home : undefined)
  if (house === undefined && listen === undefined) {
    throw misused(
      'say where the house is with --house HOST:PORT, or where to wait for it with --listen HOST:PORT',
    )
  }
  // gRPC would dial port 443 where none is said, and somebody may answer there.
  if (house !== undefined) hostAndPort(house)
  const slots = wholeOf(given, 'slots', COUNT_MAX)
  const residentMax = wholeOf(given, 'resident', COUNT_MAX)
  const ollama = ollamaOf(given)
  const own = textOf(given, 'models')
  const models = own === undefined ? modelsFolders(homedir()) : [own]
  const stop = interruption()
  const machine = openMachine({ clock: systemClock, models: models.find(existsSync) ?? own, warn })
  const agent = await openAgent({
    clock: systemClock,
    version: release(),
    name,
    ollama,
    introductions,
    statuses,
    labels: labelsOf(given),
    models,
    machine,
    environment: ollamaEnvironment(),
    ...(house !== undefined && { house }),
    ...(listen !== undefined && { listen }),
    ...(slots !== undefined && { slots }),
    ...(residentMax !== undefined && { residentMax }),
    heard(up, why) {
      warn(
        up
          ? `attached to ${house}`
          : `not attached to ${house}: ${reasonOf(why)}; it is tried again and again`,
      )
    },
    onBug(error) {
      remark(error instanceof Error ? (error.stack ?? error.message) : String(error))
      process.exit(70)
    },
  })
  say(tinted('bold', `Quipu agent ${release()}`))
  say()
  say(`  node     ${name}`)
  say(`  ollama   ${ollama}`)
  if (house !== undefined) say(`  house    ${house}`)
  if (agent.address !== undefined) say(`  address  grpc://${agent.address}`)
  say()
  await aborted(stop)
  remark('quipu agent: closing; once more ends it at once')
  const late = systemClock.after(GRACE_MS + CLOSE_MS, () => process.exit(1))
  await stayingFor(agent.close(GRACE_MS))
  machine.close()
  late.cancel()
  process.exit(0)
}

interface Who {
  readonly name: string
  readonly introductions: Introductions
  /** The house that it has joined. */
  readonly home?: string
}

/** Who it is, and how it shows that. */
async function who(given: Given, warn: (message: string) => void): Promise<Who> {
  const name = textOf(given, 'name')
  if (given.switches.has('insecure')) {
    if (name === undefined) throw misused('--insecure: say the name of the node with --name')
    return { name, introductions: inPlainText }
  }
  if (name !== undefined) throw misused('--name goes with --insecure; otherwise the certificate says it')
  const dir = dataOf(given)
  const identity = await readIdentity(dir)
  const { node, until } = describe(identity)!
  if (until <= systemClock.now())
    warn(`the certificate has expired: invite ${node} again, with quipu pki invite`)
  const home = await readHouse(dir)
  const house = textOf(given, 'house') ?? home
  if (house === undefined) throw misused('say where the house is with --house HOST:PORT')
  const papers = new Papers(identity)
  const trySave = (): Promise<unknown> => tryFolder(dir)
  const save = (next: Identity): Promise<void> => writeIdentity(dir, next)
  return {
    name: node,
    introductions: certified({ clock: systemClock, papers, house, trySave, save, warn }),
    home: house,
  }
}

function dataOf(given: Given): string {
  return textOf(given, 'data') ?? DATA
}

function reasonOf(why: Failure | undefined): string {
  return why === undefined ? 'the line ended' : (remedyOf(why.message) ?? why.message)
}

function ollamaOf(given: Given): string {
  const text = textOf(given, 'ollama') ?? readConfig({}).ollamaHost
  const url = addressOf(text)
  if (url === undefined)
    throw new Failure('node.url', `"${text}" is not a URL; write it as http://127.0.0.1:11434`)
  return checkAddress(url, { linkLocal: true })
}

function labelsOf(given: Given): Record<string, string> {
  return Object.fromEntries(
    listOf(given, 'label').map(text => {
      const [, key, value = ''] = /^([^=]+)=(.*)$/.exec(text) ?? []
      if (key === undefined) throw misused(`--label: "${text}" is not KEY=VALUE`)
      return [key, value]
    }),
  )
}
