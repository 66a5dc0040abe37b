/** `quipu backtest`: the requests of a journal once more, under another policy or on another fleet. */
import { readFile } from 'node:fs/promises'
import { type Figures, figuresOf, median, untilSent } from '../backtest/figures.ts'
import type { Fleet } from '../backtest/fleet.ts'
import { fleetOf, type Past, pastOf, type Window } from '../backtest/past.ts'
import { Recorder, type Recording } from '../backtest/recording.ts'
import { nowhere } from '../backtest/scenario.ts'
import { readFleet, writeFleet } from '../backtest/sheet.ts'
import { type Policy, policyNames, simulate } from '../backtest/simulation.ts'
import { systemClock } from '../clock.ts'
import { readConfig } from '../config.ts'
import { Failure } from '../failure.ts'
import { archivesIn, openLevelJournal } from '../journal/level.ts'
import { figuresTable, policiesOf, secondsOf } from './comparison.ts'
import { type Copy, ofFolder, takeCopy } from './copy.ts'
import { bareNode, staff } from './production.ts'
import { countOf, durationOf, timeOf } from './quantities.ts'
import { told } from './settings.ts'
import { interruption } from './signals.ts'
import { sayTable } from './table.ts'
import { progress, say, sayJson } from './terminal.ts'
import { type Given, jsonOption, misused, momentOf, textOf, type Verb, wholeOf } from './verb.ts'

const SEEDS = 5
const SEEDS_MAX = 1_000

export const backtest: Verb = {
  usage: ['backtest'],
  about:
    'Runs the requests of a journal once more on simulated nodes, which are as fast and as often away as the journal ' +
    'says: under another policy, or on a fleet that you edited. Beside the answer stands how far the same simulation, ' +
    'under the policy and on the fleet that really were, is off from what was recorded. Changes nothing, and a house may ' +
    'be running on the folder: what it reads is a copy, made in TMPDIR. docs/backtest.md says what is modelled.',
  options: {
    ...told({
      data: 'folder of the journal',
      archiveDir: 'folder of archive files, as seen from the data folder',
    }),
    policy: {
      value: 'NAMES|all',
      fallback: 'quipu',
      sentence: `who decides, several with commas: ${policyNames.join(', ')}`,
    },
    fleet: {
      value: 'FILE',
      fallback: 'as it was',
      sentence: 'the nodes and models to ask the question of; begin with what --write-fleet prints',
    },
    'write-fleet': {
      sentence: 'print the fleet that is found in the journal, to be edited, and nothing else',
    },
    from: {
      value: 'TIME',
      fallback: 'the first one',
      sentence: 'only requests since: 2026-01-31 or 2026-01-31T09:05',
    },
    to: { value: 'TIME', fallback: 'the last one', sentence: 'only requests before' },
    seeds: {
      value: 'N',
      fallback: String(SEEDS),
      sentence: 'run so often, each with its own chance; figures are medians',
    },
    ...jsonOption,
  },
  examples: [
    ['quipu backtest --policy least-connections', 'what would a plain balancer have made of it?'],
    [
      'quipu backtest --write-fleet > fleet.yaml',
      'the fleet as it was; write  off: sat,sun  under a node, and:',
    ],
    ['quipu backtest --fleet fleet.yaml', 'what if that node were off at weekends?'],
  ],
  async run(given) {
    const { data: dir, archiveDir } = readConfig(given.flags)
    const window = windowOf(given)
    const policies = policiesOf(given, 'quipu')
    const seeds = seedsOf(given)
    const recording = await readRecording(dir, archivesIn(dir, archiveDir), interruption())
    const really = fleetOf(recording)
    if (given.switches.has('write-fleet')) {
      say(HEADING)
      return say(writeFleet(really).trimEnd())
    }
    const file = textOf(given, 'fleet')
    const asked = file === undefined ? really : await fleetIn(file)
    const past = pastOf(recording, window)
    known(asked, past)
    const tried = async (policy: Policy, fleet: Fleet): Promise<Tried> => {
      const runs: Tried[] = []
      for (const seed of seeds) {
        const shown = (over: number): void =>
          progress(`${policy}, seed ${seed}: ${countOf(over)} of ${countOf(past.arrivals.length, 'request')}`)
        const setting = { fleet, arrivals: past.arrivals, seed, make: bareNode, progress: shown }
        const run = await simulate(policy, setting, staff)
        const figures = figuresOf(run)
        runs.push({ figures, asWritten: { ...figures, wait: untilSent(run) } })
      }
      return {
        figures: median(runs.map(({ figures }) => figures)),
        asWritten: median(runs.map(({ asWritten }) => asWritten)),
      }
    }
    const replayed = await tried('quipu', really)
    const answers: Answer[] = []
    for (const policy of policies) {
      // Run once more it would say the same.
      const again = policy === 'quipu' && asked === really
      answers.push({ policy, figures: (again ? replayed : await tried(policy, asked)).figures })
    }
    progress('')
    report({ dir, recording, past, replayed, answers, file }, given.switches.has('json'))
  },
}

/** The medians of some runs: as they were, and with the wait as a house would have written it down. */
interface Tried {
  readonly figures: Figures
  readonly asWritten: Figures
}

const HEADING = `# The fleet as the journal has it. Speeds are tokens a second; \`off\` says when a node was away.
# Change it, and ask: quipu backtest --fleet THIS.yaml`

interface Answer {
  readonly policy: Policy
  readonly figures: Figures
}

async function readRecording(dir: string, archiveDir: string, signal: AbortSignal): Promise<Recording> {
  let copy: Copy | undefined
  try {
    copy = await takeCopy(dir, signal)
    const journal = await openLevelJournal({ dir: copy.dir, archiveDir, clock: systemClock })
    try {
      const recorder = new Recorder()
      for await (const page of journal.read()) {
        signal.throwIfAborted()
        for (const entry of page) recorder.hear(entry)
        progress(`${countOf(page.at(-1)!.seq)} of ${countOf(journal.durable, 'fact')} read`)
      }
      return recorder.recording
    } finally {
      await journal.close()
    }
  } catch (error) {
    if (signal.aborted) throw new Failure('backtest.stopped', 'The backtest was stopped before its end.')
    throw ofFolder(dir, copy?.dir ?? dir, error)
  } finally {
    progress('')
    await copy?.remove()
  }
}

function windowOf(given: Given): Window {
  return {
    from: momentOf(given, 'from') ?? Number.NEGATIVE_INFINITY,
    to: momentOf(given, 'to') ?? Number.POSITIVE_INFINITY,
  }
}

function seedsOf(given: Given): readonly number[] {
  const count = wholeOf(given, 'seeds', SEEDS_MAX) ?? SEEDS
  if (count === 0) throw misused('--seeds: at least 1')
  return Array.from({ length: count }, (_, i) => i + 1)
}

async function fleetIn(file: string): Promise<Fleet> {
  try {
    return readFleet(await readFile(file, 'utf8'))
  } catch (error) {
    if (error instanceof Failure || (error as NodeJS.ErrnoException).code === undefined) throw error
    throw new Failure('simulate.file', `--fleet: ${(error as Error).message}`, { cause: error })
  }
}

function known(fleet: Fleet, { arrivals }: Past): void {
  const there = new Set(fleet.nodes.flatMap(node => [...node.models.keys()]))
  for (const { model } of arrivals) if (!there.has(model)) throw nowhere(model)
}

interface Story {
  readonly dir: string
  readonly recording: Recording
  readonly past: Past
  readonly replayed: Tried
  readonly answers: readonly Answer[]
  readonly file: string | undefined
}

/** How far the replay is off, in per cent of what was recorded; null where that is nothing. */
function errors(recorded: Figures, replayed: Figures) {
  const rows = (['wait', 'total'] as const).flatMap(name =>
    (['p50', 'p95'] as const).map(part => {
      const was = recorded[name][part]
      const is = replayed[name][part]
      return { name, part, was, is, percent: was < 1 ? null : (is / was - 1) * 100 }
    }),
  )
  return rows
}

function report({ dir, past, replayed, answers, file }: Story, json: boolean): void {
  const { arrivals, figures, guessed, leftOut } = past
  const first = arrivals[0]!.at
  const last = arrivals.at(-1)!.at
  const off = errors(figures, replayed.asWritten)
  if (json) {
    return sayJson({
      dir,
      requests: arrivals.length,
      first,
      last,
      withoutTokenCounts: guessed,
      leftOut,
      recorded: figures,
      replayed: replayed.figures,
      replayError: off.map(({ name, part, percent }) => ({ figure: `${name}.${part}`, percent })),
      fleet: file ?? null,
      answers: answers.map(({ policy, figures }) => ({ policy, ...figures })),
    })
  }
  say(
    `${countOf(arrivals.length, 'request')} of ${dir}, ${timeOf(first)} to ${timeOf(last)} (${durationOf(last - first)})`,
  )
  for (const line of remarks(past)) say(line)
  say()
  const rows = [
    { name: 'recorded', figures },
    { name: 'quipu, replayed', figures: replayed.figures },
    ...answers
      .filter(answer => answer.figures !== replayed.figures)
      .map(({ policy, figures }) => ({
        name: file === undefined ? policy : `${policy} on ${file}`,
        figures,
      })),
  ]
  sayTable(
    rows,
    figuresTable<(typeof rows)[number]>('', ({ name }) => name),
  )
  say()
  say('How far the replay is off from what was recorded; trust the answer no further:')
  sayTable(off, [
    { name: 'FIGURE', cell: ({ name, part }) => `${part} of ${name}` },
    { name: 'RECORDED', right: true, cell: ({ was }) => secondsOf(was) },
    { name: 'REPLAYED', right: true, cell: ({ is }) => secondsOf(is) },
    { name: 'ERROR', right: true, cell: ({ percent }) => (percent === null ? '-' : percentOf(percent)) },
  ])
  say('Seconds; WAIT in these lines is until a request was sent to a node, as a journal has it.')
}

function remarks({ arrivals, guessed, leftOut: { refused, leased, absent } }: Past): readonly string[] {
  const lines: string[] = []
  if (guessed > 0) {
    lines.push(
      `${countOf(guessed)} of ${countOf(arrivals.length)} have no token counts: they get the median of their model.`,
    )
  }
  if (refused > 0) lines.push(`Left out: ${countOf(refused, 'request')} that a node answered with an error.`)
  if (leased > 0) lines.push(`Left out: ${countOf(leased, 'request')} that workers from outside took.`)
  if (absent > 0) lines.push(`Left out: ${countOf(absent, 'request')} for models that no node has had.`)
  return lines
}

function percentOf(percent: number): string {
  const whole = Math.round(percent)
  return `${whole > 0 ? '+' : ''}${countOf(whole)} %`
}
