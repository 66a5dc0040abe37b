import t from 'tap'
import type { Replica } from '../../src/projections/residency.ts'
import {
  byModel,
  type Finding,
  findings,
  type Inventory,
  type ModelSeen,
} from '../../src/registry/consistency.ts'
import { copy, NOW, scene } from './scene.ts'

const M = 'm:latest'
const seen = (more: Partial<ModelSeen> = {}): ModelSeen => ({
  name: M,
  digest: `d-${M}`,
  sizeBytes: 4e9,
  blobs: 5,
  missing: 0,
  ...more,
})

function found(copies: readonly Replica[], more: Partial<Inventory> = {}): readonly Finding[] {
  const { replicas } = scene({ nodes: [], copies })
  return findings({
    now: NOW,
    replicas,
    catalog: replicas.keys(),
    made: new Set(),
    up: () => true,
    heard: () => undefined,
    ...more,
  })
}
const heardOn = (node: string, ...models: readonly ModelSeen[]) => ({
  heard: (name: string) => (name === node ? { at: NOW, models } : undefined),
})

t.test('where all is as it should be, nothing is said', async t => {
  t.same(found([copy(M, 'a'), copy(M, 'b')], heardOn('a', seen())), [])
  t.same(found([]), [])
})

t.test('one name, several models: what most have comes first', async t => {
  const old = { digest: 'old4567890abcdef', since: 5 }
  const copies = [copy(M, 'c', old), copy(M, 'a', { digest: 'new' }), copy(M, 'b', { digest: 'new' })]
  t.same(found(copies), [
    {
      model: M,
      about: 'drift',
      nodes: ['a', 'b', 'c'],
      sentence:
        'it is not the same everywhere: new on a, b; old4567890ab on c; ' +
        'to have the newest everywhere: quipu models pull m:latest --nodes a,b,c',
    },
  ])
  const [one] = found(copies.slice(0, 2))
  t.match(one?.sentence, /: old4567890ab on c; new on a;/, 'of equals, what came last')
  t.match(found(copies, { made: new Set([M]) })[0]?.sentence, /it was made here: make it again/)
  t.same(found(copies, { up: name => name !== 'c' }), [], 'a node that is down is not judged')
  const many = Array.from({ length: 9 }, (_, i) => copy(M, `n${i}`, { digest: i === 0 ? 'x' : 'y' }))
  t.match(found(many)[0]?.sentence, /y on n1, n2, n3, n4, n5 and 3 others; x on n0;/)
})

t.test('files that are missing', async t => {
  const damaged = heardOn('a', seen({ name: 'M', missing: 2 }))
  t.match(found([copy(M, 'a'), copy(M, 'b')], damaged), [
    {
      about: 'damage',
      nodes: ['a'],
      sentence:
        '2 of its 5 files are missing or cut on a; to bring what is missing: quipu models pull m:latest --nodes a',
    },
  ])
  t.match(found([copy(M, 'a')], { ...damaged, made: new Set([M]) }), [{ sentence: /make it again there$/ }])
  const stale = { heard: () => ({ at: NOW - 300_001, models: [seen({ missing: 2 })] }) }
  t.same(found([copy(M, 'a')], stale), [], 'an agent that said so long ago')
})

t.test('one digest of two sizes', async t => {
  t.match(found([copy(M, 'a'), copy(M, 'b', { sizeBytes: 9 })]), [
    { about: 'size', nodes: ['a', 'b'], sentence: /4000000000 bytes on a; 9 bytes on b; .* --nodes b$/ },
  ])
})

t.test('an agent that sees other models than its Ollama', async t => {
  t.match(found([copy(M, 'a')], heardOn('a', seen({ digest: 'another' }))), [
    {
      about: 'sight',
      nodes: ['a'],
      sentence: /^on a Ollama has d-m:latest, and the agent sees another; see that/,
    },
  ])
  t.match(found([copy(M, 'a')], heardOn('a')), [{ sentence: /the agent does not see it/ }])
  t.same(found([copy(M, 'a')], heardOn('a', seen({ digest: '' }))), [], 'one that cannot read the folder')
  t.same(found([copy(M, 'a', { since: NOW - 1 })], heardOn('a')), [], 'not of what came just now')
})

t.test('a model that no node has', async t => {
  const found1 = found([copy('z:latest', 'a')], { catalog: [M, 'z:latest'] })
  t.match(found1, [{ model: M, about: 'catalog', nodes: [] }])
  const several = [...found1, { ...found1[0]!, sentence: 'and more' }]
  t.same([...byModel(several)], [[M, [found1[0]!.sentence, 'and more']]])
})
