/** How much memory there is for models, and how much one takes. */
import t from 'tap'
import type { NodeEquipment } from '../../machines/node.ts'
import {
  fitsBeside,
  heldBytes,
  memoryOf,
  mostOf,
  mostTaken,
  neededBytes,
  slowerBy,
} from '../../src/projections/fit.ts'
import type { Replica } from '../../src/projections/residency.ts'

type Gpus = NodeEquipment['gpus']
const machine = (gpus: Gpus, change: Partial<NodeEquipment> = {}): NodeEquipment => ({
  gpus,
  gpusKnown: true,
  container: false,
  memoryBytes: 64e9,
  ...change,
})
const card = (memoryBytes?: number, vendor = 'nvidia') => ({
  vendor,
  model: 'x',
  ...(memoryBytes !== undefined && { memoryBytes }),
})
const shared = (vendor: string, memoryBytes?: number) => ({
  ...card(memoryBytes, vendor),
  unified: true as const,
})

t.test('1, 2: what there is for models', async t => {
  const table: readonly (readonly [string, NodeEquipment | undefined, number | undefined])[] = [
    ['no agent', undefined, undefined],
    ['one card', machine([card(24e9)]), 22.8e9],
    ['a small card: half a gigabyte is not for models', machine([card(8e9)]), 7.5e9],
    ['two cards together', machine([card(24e9), card(8e9)]), 30.3e9],
    ['a card of unknown size', machine([card(24e9), card()]), undefined],
    ['a card, and graphics in the processor', machine([card(24e9), shared('intel', 32e9)]), 22.8e9],
    [
      'not all could be looked for, but a card was found',
      machine([card(24e9)], { gpusKnown: false }),
      22.8e9,
    ],
    ['shared memory', machine([shared('apple', 48e9)]), 45.6e9],
    ['shared, and nobody knows how much', machine([shared('apple')]), undefined],
    ['graphics in the processor that Ollama does not use', machine([shared('intel', 32e9)]), 57.6e9],
    ['no GPU', machine([]), 57.6e9],
    ['no GPU, and little memory', machine([], { memoryBytes: 8e9 }), 6e9],
    ['no GPU, and less than the system takes', machine([], { memoryBytes: 1e9 }), 0],
    ['no GPU was found, but not all could be looked for', machine([], { gpusKnown: false }), undefined],
  ]
  for (const [what, equipment, bytes] of table) {
    const found = memoryOf(equipment)?.bytes
    t.equal(found === undefined ? undefined : Math.round(found), bytes, what)
  }
})

t.test('what a model may be spread over at most', async t => {
  for (const [what, equipment, bytes] of [
    ['no agent', undefined, undefined],
    ['a card, and the machine', machine([card(24e9)]), 80.4e9],
    ['a card of unknown size', machine([card()]), undefined],
    ['a machine of unknown size', machine([card(24e9)], { memoryBytes: undefined as never }), undefined],
    ['shared memory counts once', machine([shared('apple', 48e9)]), 57.6e9],
    ['no GPU', machine([]), 57.6e9],
  ] as const) {
    const found = mostOf(equipment)
    t.equal(found === undefined ? undefined : Math.round(found), bytes, what)
  }
})

const copy = (change: Partial<Replica> = {}): Replica => ({
  id: 'm@a',
  model: 'm',
  node: 'a',
  state: 'present',
  digest: 'd',
  sizeBytes: 8e9,
  since: 0,
  variant: '',
  loadFailures: 0,
  ...change,
})
const residence = (sizeBytes: number, vramBytes = sizeBytes) => ({
  sizeBytes,
  vramBytes,
  contextLength: 4_096,
})

t.test(
  '3: what a model takes is what it took there, else the most it took anywhere, else its file and a quarter',
  async t => {
    t.equal(neededBytes(copy(), undefined), 10e9)
    t.equal(neededBytes(copy(), 12e9), 12e9)
    t.equal(neededBytes(copy({ residence: residence(9e9) }), 12e9), 9e9)
    t.equal(mostTaken([]), undefined)
    t.equal(mostTaken([copy(), copy({ residence: residence(0) })]), undefined, '0 is nothing that is known')
    t.equal(mostTaken([copy({ residence: residence(9e9) }), copy({ residence: residence(11e9) })]), 11e9)
  },
)

t.test(
  'a copy holds what is on the GPU; without one, all of it; while it loads, what it will take',
  async t => {
    const [gpu, cpu] = [
      { bytes: 1, gpu: true },
      { bytes: 1, gpu: false },
    ]
    const half = copy({ state: 'resident', residence: residence(10e9, 6e9) })
    t.equal(heldBytes(half, gpu), 6e9)
    t.equal(heldBytes(half, cpu), 10e9)
    t.equal(heldBytes({ ...half, state: 'loading' }, gpu), 10e9)
    t.equal(heldBytes(copy({ state: 'resident' }), gpu), 10e9)
  },
)

t.test('4: beside others a quarter more must be free, on GPUs', async t => {
  t.equal(fitsBeside(8, 10, { bytes: 20, gpu: true }), true)
  t.equal(fitsBeside(8.1, 10, { bytes: 20, gpu: true }), false)
  t.equal(fitsBeside(10, 10, { bytes: 20, gpu: false }), true)
})

t.test('5: what does not fit is slow, the slower the more of it there is', async t => {
  const memory = { bytes: 24e9, gpu: true }
  t.equal(slowerBy(24e9, memory), 1)
  t.equal(slowerBy(48e9, memory), 5.5)
  t.equal(slowerBy(1, { bytes: 0, gpu: false }), 10)
})
