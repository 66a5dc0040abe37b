#!/usr/bin/env -S node --max-semi-space-size=8 --max-old-space-size=1024
/**
 * The command line: a table of verbs. Exit codes: 0 ok, 1 failed (the message says what to do), 2 wrong usage,
 * 70 a bug (with its stack).
 */
import { Refusal } from '../../machines/entity.ts'
import { Failure } from '../failure.ts'
import { nearest } from './nearest.ts'
import { release } from './release.ts'
import { remark, say } from './terminal.ts'
import { helpOf, misused, pairs, readArguments, type Verb } from './verb.ts'

interface Entry {
  readonly does: string
  /** Loaded when it is asked for: `quipu version` need not read the whole house. */
  readonly load: () => Promise<Verb>
}

const verbs: Readonly<Record<string, Entry>> = {
  serve: { does: 'run a house', load: async () => (await import('./serve.ts')).serve },
  agent: {
    does: 'run the agent of one Ollama server, for a house that cannot reach it',
    load: async () => (await import('./agent.ts')).agent,
  },
  sim: { does: 'run simulated Ollama nodes', load: async () => (await import('./sim.ts')).sim },
  nodes: {
    does: 'list, show, add, drain, resume and remove nodes',
    load: async () => (await import('./nodes.ts')).nodes,
  },
  pki: {
    does: 'make the authority of the agents, invite nodes, send them away',
    load: async () => (await import('./pki.ts')).pki,
  },
  models: {
    does: 'list, pull, remove and spread models',
    load: async () => (await import('./models.ts')).models,
  },
  policy: {
    does: 'say where a model may run, and how it is loaded',
    load: async () => (await import('./policy.ts')).policy,
  },
  ps: { does: 'list the models in memory, and where', load: async () => (await import('./ps.ts')).ps },
  top: { does: 'watch the house, live', load: async () => (await import('./top.ts')).top },
  queue: { does: 'show who waits, and for what', load: async () => (await import('./queue.ts')).queue },
  jobs: {
    does: 'submit jobs, list them, fetch their answers, cancel them',
    load: async () => (await import('./jobs.ts')).jobs,
  },
  requests: { does: 'list the last requests', load: async () => (await import('./requests.ts')).requests },
  explain: {
    does: 'tell why a request went where it went',
    load: async () => (await import('./explain.ts')).explain,
  },
  at: {
    does: 'tell what the house looked like at some moment',
    load: async () => (await import('./at.ts')).at,
  },
  diff: {
    does: 'tell what is different between two moments, and who changed it',
    load: async () => (await import('./diff.ts')).diff,
  },
  stats: {
    does: 'print tables of what happened',
    load: async () => (await import('./stats.ts')).stats,
  },
  events: { does: 'follow the facts as they happen', load: async () => (await import('./events.ts')).events },
  subscriptions: {
    does: 'list, make, park, resume and delete named readers of the facts',
    load: async () => (await import('./subscriptions.ts')).subscriptions,
  },
  journal: { does: 'page through the facts', load: async () => (await import('./journal.ts')).journal },
  audit: {
    does: 'verify a journal from its first fact to its last',
    load: async () => (await import('./audit.ts')).audit,
  },
  checkpoint: {
    does: 'print what the journal is, signed; show or change the key',
    load: async () => (await import('./checkpoint.ts')).checkpoint,
  },
  prove: {
    does: 'prove that a fact is in the journal, or that none was changed',
    load: async () => (await import('./prove.ts')).prove,
  },
  'verify-proof': {
    does: 'verify such a proof, with no house and no journal',
    load: async () => (await import('./verifyproof.ts')).verifyProof,
  },
  mirror: {
    does: 'show how far the copy in Kafka has come',
    load: async () => (await import('./mirror.ts')).mirror,
  },
  restore: {
    does: 'make a journal anew out of its copy in Kafka',
    load: async () => (await import('./restore.ts')).restore,
  },
  doctor: {
    does: 'say what is wrong with a data folder, and what to do',
    load: async () => (await import('./doctor.ts')).doctor,
  },
  archive: {
    does: 'put older facts into files, and take them off the disk',
    load: async () => (await import('./archive.ts')).archive,
  },
  simulate: {
    does: 'run a trace against a simulated fleet, under several policies',
    load: async () => (await import('./simulate.ts')).simulate,
  },
  backtest: {
    does: 'run a journal again, under another policy or on another fleet',
    load: async () => (await import('./backtest.ts')).backtest,
  },
  forget: {
    does: 'take the name of a client out of the journal',
    load: async () => (await import('./forget.ts')).forget,
  },
  erase: {
    does: 'erase what is kept of a request or a client, and prove it',
    load: async () => (await import('./erase.ts')).erase,
  },
  config: {
    does: 'show every setting and who set it; set some while a house runs',
    load: async () => (await import('./config.ts')).config,
  },
  version: { does: 'print the version', load: async () => (await import('./version.ts')).version },
}

async function main([name, ...args]: readonly string[]): Promise<void> {
  if (name === undefined || name === '--help' || name === '-h' || (name === 'help' && args.length === 0)) {
    mindPipes({})
    return say(overview())
  }
  if (name === 'help') return main([args[0]!, '--help'])
  const verb = await find(name === '--version' || name === '-v' ? 'version' : name).load()
  mindPipes(verb)
  if (helpWanted(args)) return say(helpOf(name, verb))
  await verb.run(readArguments(verb, args))
}

function find(name: string): Entry {
  if (Object.hasOwn(verbs, name)) return verbs[name]!
  const meant = nearest(name, Object.keys(verbs))
  const hint = meant === undefined ? '' : `; did you mean \`quipu ${meant}\`?`
  throw misused(`there is no verb "${name}"${hint}`)
}

function helpWanted(args: readonly string[]): boolean {
  const end = args.indexOf('--')
  return (end === -1 ? args : args.slice(0, end)).some(arg => arg === '--help' || arg === '-h')
}

function overview(): string {
  return [
    `Quipu ${release()}: one Ollama endpoint in front of many Ollama nodes.`,
    '',
    'usage: quipu VERB [options]',
    '',
    ...pairs(Object.entries(verbs).map(([name, { does }]) => [name, does])),
    '',
    'examples:',
    ...pairs([
      ['quipu serve', 'run a house on this machine; with no Ollama in sight, on simulated nodes'],
      ['quipu VERB --help', 'every option of a verb, with its default'],
    ]),
  ].join('\n')
}

/** `quipu events | head` closes the pipe: that is an end, not an error. A house stays, whoever looks away. */
function mindPipes({ endures }: Pick<Verb, 'endures'>): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', ({ code }: NodeJS.ErrnoException) => {
      if (!endures) process.exit(code === 'EPIPE' ? 0 : 1)
    })
  }
}

/** A Failure or a Refusal says what to do next, without a stack; anything else is a bug, and shows where. */
function end(error: unknown): number {
  if (!(error instanceof Failure || error instanceof Refusal)) {
    remark(error instanceof Error ? (error.stack ?? error.message) : String(error))
    return 70
  }
  remark(`quipu: ${error.message}`)
  if (error.code !== 'cli.usage') return 1
  const [verb = ''] = process.argv.slice(2)
  remark(Object.hasOwn(verbs, verb) ? `see: quipu ${verb} --help` : 'see: quipu --help')
  return 2
}

process.on('uncaughtException', error => process.exit(end(error)))
await main(process.argv.slice(2)).catch(error => {
  process.exitCode = end(error)
})
