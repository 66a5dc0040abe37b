import t from 'tap'
import { presets } from '../../src/backtest/presets.ts'
import { arrivalsOf } from '../../src/backtest/scenario.ts'
import { simulate } from '../../src/backtest/simulation.ts'
import { readSynthetic, synthesize } from '../../src/backtest/synthetic.ts'
import { bareNode, staff } from '../../src/cli/production.ts'
import type { Entry, Journal } from '../../src/journal/journal.ts'
import { travel } from '../../src/past/travel.ts'
import type { Moment } from '../../src/projections/views.ts'
import { weigh } from '../../src/scheduler/hindsight.ts'

/** The journal of a simulated house, which has 400 requests to decide on. */
async function past(preset: keyof typeof presets, seed: number): Promise<Journal> {
  const { fleet, utilisation } = presets[preset]
  const scenario = { models: fleet.models.length, clients: 4, patienceMs: 600_000, utilisation }
  const arrivals = arrivalsOf(fleet, synthesize(readSynthetic('requests=400'), seed), scenario, seed)
  let journal: Journal | undefined
  await simulate('quipu', { fleet, arrivals, seed, make: bareNode }, house => {
    journal = house.journal
    return staff(house)
  })
  return journal!
}

async function factsOf(journal: Journal): Promise<readonly Entry[]> {
  const all: Entry[] = []
  for await (const page of journal.read()) all.push(...page)
  return all
}

async function revisit(
  journal: Journal,
  seqs: readonly number[],
  see: (moment: Moment, seq: number) => void,
): Promise<void> {
  const places = seqs.map(seq => ({ seq }))
  for await (const { seq, answers } of travel({ journal, snapshots: NONE }, places)) see(answers, seq)
}

const NONE = { newest: async () => undefined }

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e6))

for (const preset of ['B', 'C', 'D'] as const) {
  t.test(`decided once more, each turn of preset ${preset} goes as it went; SEED=${seed}`, async t => {
    const journal = await past(preset, seed)
    const turns = (await factsOf(journal)).flatMap(fact => (fact.type === 'request.assigned' ? [fact] : []))
    t.ok(turns.length > 300)
    let seen = 0
    const wrong: object[] = []
    await revisit(
      journal,
      turns.map(({ seq }) => seq - 1),
      (moment, seq) => {
        const { id, at, data } = turns.find(turn => turn.seq === seq + 1)!
        const again = weigh({ moment, at, id, table: data.candidates })
        seen += 1
        const same =
          again?.choice.to === 'assign' &&
          again.choice.node === data.node &&
          JSON.stringify(again.candidates) === JSON.stringify(data.candidates)
        if (!same) wrong.push({ seq, data, again })
      },
    )
    t.equal(seen, turns.length)
    t.same(wrong.slice(0, 3), [])
  })
}

t.test('with other weights, some turns go otherwise', async t => {
  const journal = await past('C', 7)
  const facts = await factsOf(journal)
  const came = facts.filter(({ type }) => type === 'request.admitted')
  const kinds = new Map<string, number>()
  await revisit(
    journal,
    came.map(({ seq }) => seq),
    (moment, seq) => {
      const { id, at } = came.find(fact => fact.seq === seq)!
      const [was, is] = [{}, { weights: { swapCost: 0 } }].map(
        otherwise => weigh({ moment, at, id, table: [] }, otherwise)!.choice,
      )
      const kind = `${was!.to} → ${is!.to}`
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
    },
  )
  t.ok(
    [...kinds.keys()].some(kind => kind.startsWith('wait → ') && kind !== 'wait → wait'),
    JSON.stringify([...kinds]),
  )
})
