/** `quipu simulate`: what would this fleet have made of these requests, under the house's scheduler and under others? */
import { readFile, writeFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { figuresOf, median } from '../backtest/figures.ts'
import { type Fleet, utilisation } from '../backtest/fleet.ts'
import { type Panel, picture } from '../backtest/picture.ts'
import { presets } from '../backtest/presets.ts'
import { arrivalsOf, type Scenario } from '../backtest/scenario.ts'
import { readFleet } from '../backtest/sheet.ts'
import { policyNames, simulate as run } from '../backtest/simulation.ts'
import { readSynthetic, SYNTHETIC, synthesize } from '../backtest/synthetic.ts'
import { type Arrival, type Asked, readTrace } from '../backtest/trace.ts'
import { systemClock } from '../clock.ts'
import { durationMs } from '../config.ts'
import { Failure } from '../failure.ts'
import { type Compared, comparisonJson, policiesOf, sayComparison, secondsOf } from './comparison.ts'
import { bareNode, staff } from './production.ts'
import { countOf, durationOf } from './quantities.ts'
import { progress, remark, say, sayJson } from './terminal.ts'
import { type Given, jsonOption, misused, textOf, type Verb, wholeOf } from './verb.ts'

const FLEET = 'preset:C'
const REQUESTS = 6_000
const CLIENTS = 8
const SEEDS_MAX = 1_000
const POLICIES = 'quipu,least-connections'

export const simulate: Verb = {
  usage: ['simulate'],
  about:
    'Runs a trace of requests against a simulated fleet, under the very scheduler of a house and under policies that ' +
    'bind a request to a node when it comes, thousands of times faster than life. Requests come when they come, ' +
    'however late the answers are. Says how long they waited and what it took; the same seed gives the same figures. ' +
    'docs/backtest.md says what is modelled, and what is not.',
  options: {
    trace: {
      value: 'FILE.csv',
      fallback: 'a synthetic one',
      sentence:
        'requests: TIMESTAMP,ContextTokens,GeneratedTokens, and Model, Client, Priority where it has them',
    },
    synthetic: {
      value: 'SPEC',
      fallback: Object.entries(SYNTHETIC)
        .map(([name, { fallback }]) => `${name}=${fallback}`)
        .join(', '),
      sentence: 'invent a trace; what is not named is as in the default',
    },
    requests: { value: 'N', fallback: String(REQUESTS), sentence: 'only the first ones' },
    fleet: {
      value: 'FILE|preset:A-D',
      fallback: FLEET,
      sentence: `nodes and models, in YAML. ${Object.entries(presets)
        .map(([name, { about }]) => `${name}: ${about}`)
        .join('. ')}`,
    },
    policy: {
      value: 'NAMES|all',
      fallback: POLICIES,
      sentence: `who decides, several with commas: ${policyNames.join(', ')}`,
    },
    utilisation: {
      value: 'U|trace',
      fallback: "the preset's; for a file: trace",
      sentence: 'stretch time until the fleet is this busy (0.5 is half); trace leaves it as it is',
    },
    models: {
      value: 'N',
      fallback: 'all',
      sentence:
        "how many of the fleet's models are asked for, the first most often (Zipf, 1.1), where the trace names none",
    },
    clients: { value: 'N', fallback: String(CLIENTS), sentence: 'how many ask, likewise' },
    patience: { value: 'DURATION', fallback: 'for ever', sentence: 'how long a request waits for a slot' },
    seeds: {
      value: 'N',
      fallback: '1',
      sentence: 'run so often, each with its own draws; figures are medians',
    },
    seed: { value: 'S', fallback: '1', sentence: 'the first seed' },
    svg: { value: 'FILE', sentence: 'draw what the nodes did, in the run of the first seed' },
    'svg-span': { value: 'DURATION', fallback: 'all of it', sentence: 'draw only the first part, larger' },
    ...jsonOption,
  },
  examples: [
    ['quipu simulate --fleet preset:C --policy all --seeds 5', 'four models, room for one: every policy'],
    [
      'quipu simulate --trace week.csv --fleet ours.yaml --svg week.svg',
      'your requests, your nodes, and a picture',
    ],
    [
      'quipu simulate --synthetic rate=2,output=400 --utilisation 0.8',
      'long answers, and nodes that are busy',
    ],
  ],
  async run(given) {
    const stage = await readStage(given)
    const policies = policiesOf(given, POLICIES)
    const file = textOf(given, 'svg')
    const began = systemClock.monotonic()
    const compared: Compared[] = []
    const panels: Panel[] = []
    let simulatedMs = 0
    for (const policy of policies) {
      const seeds: { seed: number; figures: Compared['figures'] }[] = []
      for (const seed of stage.seeds) {
        const arrivals = stage.arrivals(seed)
        const result = await run(
          policy,
          { fleet: stage.fleet, arrivals, seed, make: bareNode, progress: told },
          staff,
        )
        const figures = figuresOf(result)
        seeds.push({ seed, figures })
        simulatedMs += figures.spanMs
        if (file !== undefined && seed === stage.seeds[0]) {
          panels.push({ name: policy, said: saidOf(figures), run: result })
        }
        function told(over: number): void {
          const turn = stage.seeds.length === 1 ? '' : `, seed ${seed}`
          progress(`${policy}${turn}: ${countOf(over)} of ${countOf(arrivals.length, 'request')}`)
        }
      }
      compared.push({ policy, seeds, figures: median(seeds.map(({ figures }) => figures)) })
    }
    progress('')
    const first = stage.arrivals(stage.seeds[0]!)
    if (file !== undefined) {
      const longestMs = durationOption(given, 'svg-span')
      const caption = { title: stage.name, said: sentenceOf(stage, first), longestMs }
      await written(file, picture(caption, stage.fleet, panels))
    }
    if (given.switches.has('json')) sayJson({ ...outline(stage, first), policies: comparisonJson(compared) })
    else {
      say(
        `${stage.name}: ${sentenceOf(stage, first)}${stage.seeds.length > 1 ? `; medians of ${stage.seeds.length} seeds` : ''}`,
      )
      say()
      sayComparison(compared)
    }
    const ms = systemClock.monotonic() - began
    const faster = countOf(Math.round(simulatedMs / Math.max(ms, 1)))
    remark(`${durationOf(simulatedMs)} in ${durationOf(ms)}: ${faster} times faster than life`)
  },
}

/** All that is fixed before the first policy runs. */
interface Stage {
  readonly name: string
  readonly fleet: Fleet
  readonly source: string
  readonly seeds: readonly number[]
  readonly arrivals: (seed: number) => readonly Arrival[]
}

async function readStage(given: Given): Promise<Stage> {
  const { fleet, name, busy } = await readFleetOf(given)
  const models = wholeOf(given, 'models') ?? fleet.models.length
  if (models < 1 || models > fleet.models.length) {
    throw misused(
      `--models: the fleet has ${countOf(fleet.models.length, 'model')}; ask for 1 to ${fleet.models.length}`,
    )
  }
  const clients = atLeastOne(given, 'clients', CLIENTS)
  const first = wholeOf(given, 'seed') ?? 1
  const seeds = Array.from({ length: atLeastOne(given, 'seeds', 1, SEEDS_MAX) }, (_, i) => first + i)
  const target = utilisationOf(given, busy)
  const scenario: Scenario = {
    models,
    clients,
    patienceMs: durationOption(given, 'patience'),
    ...(target !== undefined && { utilisation: target }),
  }
  const { source, asked } = await readSource(given)
  return { name, fleet, source, seeds, arrivals: seed => arrivalsOf(fleet, asked(seed), scenario, seed) }
}

async function readFleetOf(given: Given): Promise<{ fleet: Fleet; name: string; busy?: number }> {
  const text = textOf(given, 'fleet') ?? FLEET
  const [, preset] = /^preset:(.*)$/.exec(text) ?? []
  if (preset === undefined) return { name: basename(text), fleet: readFleet(await contents(text, 'fleet')) }
  if (!Object.hasOwn(presets, preset)) {
    throw misused(`--fleet: there is no preset "${preset}"; known are ${Object.keys(presets).join(', ')}`)
  }
  const { fleet, utilisation, about } = presets[preset as keyof typeof presets]
  return { fleet, busy: utilisation, name: `${preset}, ${about}` }
}

async function readSource(
  given: Given,
): Promise<{ readonly source: string; readonly asked: (seed: number) => readonly Asked[] }> {
  const file = textOf(given, 'trace')
  const synthetic = textOf(given, 'synthetic')
  const most = atLeastOne(given, 'requests', REQUESTS)
  if (file !== undefined && synthetic !== undefined)
    throw misused('--trace and --synthetic: give one of them')
  if (file !== undefined) {
    const asked = readTrace(await contents(file, 'trace')).slice(0, most)
    return { source: basename(file), asked: () => asked }
  }
  const wanted = readSynthetic(synthetic ?? '')
  const limited = textOf(given, 'requests') === undefined ? wanted : { ...wanted, requests: most }
  return { source: 'synthetic', asked: seed => synthesize(limited, seed) }
}

function utilisationOf(given: Given, fallback: number | undefined): number | undefined {
  const text = textOf(given, 'utilisation')
  if (text === undefined) return fallback
  if (text === 'trace') return undefined
  if (!/^\d*\.?\d+$/.test(text) || !(Number(text) > 0)) {
    throw misused(`--utilisation: "${text}" is neither a number above 0, such as 0.5, nor trace`)
  }
  return Number(text)
}

function durationOption(given: Given, name: 'patience' | 'svg-span'): number {
  const text = textOf(given, name)
  if (text === undefined) return Number.POSITIVE_INFINITY
  try {
    return durationMs(text)
  } catch (error) {
    throw misused(`--${name}: ${(error as Error).message}`)
  }
}

function atLeastOne(given: Given, name: string, fallback: number, max?: number): number {
  const value = wholeOf(given, name, max) ?? fallback
  if (value === 0) throw misused(`--${name}: at least 1`)
  return value
}

async function contents(file: string, what: 'fleet' | 'trace'): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error
    const hint = /^preset/i.test(file) ? '; a preset is named as in preset:C' : ''
    throw new Failure('simulate.file', `--${what}: ${(error as Error).message}${hint}`, { cause: error })
  }
}

async function written(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text)
  } catch (error) {
    throw new Failure('simulate.file', `--svg: ${(error as Error).message}`, { cause: error })
  }
}

function sentenceOf({ fleet, source }: Stage, arrivals: readonly Arrival[]): string {
  const spanMs = arrivals.at(-1)!.at - arrivals[0]!.at
  const busy = Math.round(utilisation(fleet, arrivals) * 100)
  return `${countOf(arrivals.length, 'request')} (${source}) in ${durationOf(spanMs)}, ${busy} % of what ${countOf(fleet.nodes.length, 'node')} can do`
}

function saidOf({ total, loads }: Compared['figures']): string {
  return `half answered within ${secondsOf(total.p50)} s, 95 % within ${secondsOf(total.p95)} s; ${countOf(loads, 'load')}`
}

function outline({ name, source, fleet, seeds }: Stage, arrivals: readonly Arrival[]): object {
  const mean = (of: (arrival: Arrival) => number): number =>
    Math.round(arrivals.reduce((sum, arrival) => sum + of(arrival), 0) / arrivals.length)
  return {
    fleet: name,
    nodes: fleet.nodes.length,
    models: new Set(arrivals.map(({ model }) => model)).size,
    clients: new Set(arrivals.map(({ client }) => client)).size,
    trace: source,
    requests: arrivals.length,
    spanMs: Math.round(arrivals.at(-1)!.at - arrivals[0]!.at),
    utilisation: Math.round(utilisation(fleet, arrivals) * 1_000) / 1_000,
    promptTokensMean: mean(({ promptTokens }) => promptTokens),
    outputTokensMean: mean(({ outputTokens }) => outputTokens),
    seeds,
  }
}
