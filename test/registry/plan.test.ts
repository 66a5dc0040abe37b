import t from 'tap'
import { type Action, choose, mayRemove, plan } from '../../src/registry/plan.ts'
import { CARE } from '../../src/registry/sites.ts'
import { abandoned, copy, machine, NOW, node, open, scene, type Words } from './scene.ts'

const M = 'm:latest'
const short = (actions: readonly Action[]): readonly string[] =>
  actions.map(({ do: deed, model, node: at }) => `${deed} ${model === M ? '' : `${model} `}${at}`)
const deeds = (words: Words): readonly string[] => short(plan(scene(words)).actions)
const wants = (policy: object) => ({ policies: { [M]: policy } })
const abc = [node('a'), node('b'), node('c')]

t.test('models of which no policy says how many copies there are, are left alone', async t => {
  t.same(deeds({ nodes: abc, copies: [copy(M, 'a'), copy(M, 'b')] }), [])
  t.same(deeds({ nodes: abc, copies: [copy(M, 'a')], ...wants({ avoid: ['a'] }) }), [])
})

t.test('too few copies: others are brought, and it is said why', async t => {
  const { actions, stocks, unmet } = plan(
    scene({ nodes: abc, copies: [copy(M, 'b')], ...wants({ replicasMin: 2, prefer: ['c'] }) }),
  )
  t.match(actions, [
    {
      do: 'pull',
      model: M,
      node: 'c',
      reason: 'it has 1 of the 2 copies that its policy wants; c is preferred',
      digest: `d-${M}`,
      sizeBytes: 4e9,
      candidates: [
        { node: 'c', freeBytes: null, fit: null, load: 0, demand: 1, preferred: true },
        { node: 'a' },
        { node: 'b', excluded: 'has it' },
      ],
    },
  ])
  t.same(unmet, [])
  t.match(stocks, [{ model: M, min: 2, copies: ['b'], firm: ['b'], coming: [], lost: [] }])
  t.same(
    deeds({ nodes: abc, copies: [copy(M, 'b')], open: [open(M, 'a')], ...wants({ replicasMin: 2 }) }),
    [],
    'what is on its way counts',
  )
})

t.test('a lost node counts until the grace is over, and its only copy is then brought elsewhere', async t => {
  const down = (forMs: number) => node('a', { reach: 'down', since: NOW - forMs })
  const lost = (forMs: number): Words => ({
    nodes: [down(forMs), node('b')],
    copies: [copy(M, 'a')],
    ...wants({ replicasMin: 1 }),
  })
  t.same(deeds(lost(CARE.graceMs - 1)), [])
  t.equal(plan(scene(lost(CARE.graceMs - 1))).againAt, NOW + 1)
  const [action] = plan(scene(lost(CARE.graceMs))).actions
  t.match(action, {
    do: 'pull',
    node: 'b',
    lost: ['a'],
    reason: /^it has 0 of the 1 copy that its policy wants, not counting a, which is lost; b /,
  })
  t.same(
    deeds({ ...lost(CARE.graceMs), ...wants({ replicasMax: 1 }) }),
    [],
    'only where it wants one at least',
  )
  const anew = (forMs: number): Words => ({
    ...lost(0),
    nodes: [node('a', { reach: 'joining', since: NOW - forMs }), node('b')],
  })
  t.same(deeds(anew(CARE.graceMs - 1)), [])
  t.same(
    deeds(anew(CARE.graceMs)),
    ['pull b'],
    'registered anew while it was lost, and has not answered since',
  )
})

t.test('a clock that was set back does not stop anything until it has caught up', async t => {
  const since = NOW + 365 * 86_400_000
  const ahead = (name: string, more = {}) => node(name, { since, ...more })
  const one = { copies: [copy(M, 'a')], ...wants({ replicasMin: 2 }) }
  t.same(deeds({ nodes: [ahead('a'), ahead('b')], ...one }), ['pull b'])
  t.same(deeds({ nodes: [ahead('a', { reach: 'down' }), ahead('b'), ahead('c')], ...one }), [
    'pull b',
    'pull c',
  ])
  t.same(deeds({ nodes: [ahead('a'), ahead('b')], ...one, abandoned: [abandoned(M, 'b', { since })] }), [
    'pull b',
  ])
  const many = { copies: [copy(M, 'a'), copy(M, 'b')], ...wants({ replicasMax: 1, prefer: ['a'] }) }
  t.same(deeds({ nodes: [ahead('a'), ahead('b')], ...many }), ['remove b'])
  t.equal(choose(scene({ nodes: [ahead('a')] }), M, { count: 1 }).nodes.length, 1)
})

t.test('nodes that are out of the question, and what is said of them', async t => {
  const excluded = (words: Partial<Words>, policy: object = {}): unknown => {
    const all = { nodes: [node('a')], ...words, ...wants({ replicasMin: 1, ...policy }) }
    const { actions, unmet } = plan(scene(all))
    return actions.length > 0 ? short(actions) : unmet.map(({ reason }) => reason.replace(/.*no other: /, ''))
  }
  t.same(excluded({}), ['pull a'])
  const one = (more: object) => ({ nodes: [node('a', more)] })
  for (const [words, policy, why] of [
    [{}, { nodes: ['b'] }, 'a not by its policy'],
    [{}, { avoid: ['a'] }, 'a not by its policy'],
    [{}, { labels: { gpu: '4090' } }, 'a not by its policy'],
    [one({ reach: 'joining' }), {}, 'a has not answered yet'],
    [one({ reach: 'down', since: NOW }), {}, 'a is down'],
    [one({ duty: 'draining' }), {}, 'a is drained'],
    [one({ duty: 'empty' }), {}, 'a is drained'],
    [one({ since: NOW - CARE.settleMs + 1 }), {}, 'a came a moment ago'],
    [one({ throttled: { cause: 'heat', since: NOW } }), {}, 'a is slowed down'],
    [{ barred: () => true }, {}, 'a its breaker is open'],
    [{ freeBytes: () => CARE.reserveBytes + 4e9 - 1 }, {}, 'a has no room on its disk'],
    [one(machine(5e9)), {}, 'a has too little memory'],
    [{ abandoned: [abandoned(M, 'a', { since: NOW - 1 })] }, {}, 'a did not get it a while ago'],
    [
      { abandoned: [abandoned(M, 'z', { since: NOW - 1, reason: 'unknown' })] },
      {},
      "Ollama's registry has no such model",
    ],
    [{ made: new Set([M]) }, {}, 'it was made here, so that no other node can pull it'],
    [{ nodes: [] }, {}, 'there is no node'],
  ] as const)
    t.same(excluded(words, policy), [why], why)
  for (const [words, policy] of [
    [one({ labels: { gpu: '4090' } }), { labels: { gpu: '4090' } }],
    [one({ since: NOW - CARE.settleMs }), {}],
    [{ freeBytes: () => CARE.reserveBytes + 4e9 }, {}],
    [{ freeBytes: () => 0, sizeOf: () => undefined }, undefined],
    [one(machine(1e9, 24e9)), {}],
    [one(machine(8e9, 2e9)), {}],
    [one(machine()), {}],
    [{ abandoned: [abandoned(M, 'a', { since: NOW - CARE.restMs })] }, {}],
    [{ abandoned: [abandoned(M, 'a', { since: NOW - 1 })] }, { setAt: NOW }],
  ] as const)
    t.same(
      excluded(words, policy ?? {}),
      policy === undefined ? ['a has no room on its disk'] : ['pull a'],
      JSON.stringify(words),
    )
})

t.test('of several nodes: preferred, memory, demand, disk, load, and then the lot', async t => {
  const first = (words: Partial<Words>, policy: object = {}): unknown =>
    plan(scene({ nodes: [node('a'), node('b')], ...words, ...wants({ replicasMin: 1, ...policy }) }))
      .actions[0]?.node
  const gpu = machine(64e9, 24e9)
  const plain = machine(64e9)
  for (const [a, b] of [
    ['a', 'b'],
    ['b', 'a'],
  ] as const) {
    const both = (of: object, other: object): Partial<Words> => ({ nodes: [node(a, of), node(b, other)] })
    t.equal(first(both(gpu, plain), { prefer: [b] }), b, 'what people prefer')
    t.equal(first(both(gpu, plain)), a, 'a GPU')
    t.equal(first(both(plain, {})), a, 'memory that is known to do')
    const fromA = new Map([['[["rack","1"]]', 9]])
    const demand = new Map([
      [
        M,
        {
          requests: 9,
          waitMs: 0,
          runMs: 0,
          loads: 0,
          loadMs: 0,
          evictions: 0,
          byLabels: fromA,
          byNode: new Map(),
        },
      ],
    ])
    t.equal(first({ ...both({ labels: { rack: '1' } }, {}), demand }), a, 'where it is asked for')
    t.equal(first({ ...both({}, {}), freeBytes: name => (name === a ? 80e9 : 12e9) }), a, 'a roomy disk')
    t.equal(first({ ...both({}, {}), freeBytes: name => (name === a ? 80e9 : undefined) }), a, 'known room')
    t.equal(first({ ...both({}, {}), running: name => (name === a ? 0 : 2) }), a, 'the less busy')
  }
  const wins = Array.from(
    { length: 300 },
    (_, i) =>
      plan(
        scene({
          nodes: [node('a'), node('b', { weight: 3 })],
          policies: { [`m${i}:latest`]: { replicasMin: 1 } },
        }),
      ).actions[0]!.node,
  ).filter(name => name === 'b').length
  t.ok(wins > 190 && wins < 260, `three times the weight wins three of four lots: ${wins} of 300`)
})

t.test('what is brought takes its room on the disk at once', async t => {
  const policies = Object.fromEntries(['x', 'y', 'z'].map(name => [name, { replicasMin: 1 }]))
  const room = { nodes: [node('a'), node('b')], policies, freeBytes: () => CARE.reserveBytes + 5e9 }
  const { actions, unmet } = plan(scene(room))
  t.equal(actions.length, 2)
  t.not(actions[0]!.node, actions[1]!.node)
  t.match(unmet, [{ model: 'z', reason: /2 nodes: has no room on its disk$/ }])
  const coming = { ...room, open: [open('other', 'a', { cause: 'asked' })] }
  t.same(
    plan(scene(coming)).actions.map(({ node: at }) => at),
    ['b'],
  )
})

t.test('what has arrived is off the disk already, and does not take its room twice', async t => {
  const first = open('big', 'a', { cause: 'asked', state: 'running' })
  const words = {
    nodes: [node('a'), node('b')],
    open: [first, open(M, 'a', { seq: 2 })],
    ...wants({ replicasMin: 1 }),
  }
  const sizeOf = (model: string): number => (model === 'big' ? 20e9 : 4e9)
  const free = CARE.reserveBytes + 25e9
  t.same(deeds({ ...words, sizeOf, freeBytes: () => free }), [])
  const late = { ...words, sizeOf, freeBytes: (name: string) => (name === 'a' ? free - 19e9 : free) }
  t.same(
    deeds({ ...late, arrivedBytes: id => (id === first.id ? 19e9 : 0) }),
    [],
    'there is room for the rest',
  )
  t.same(deeds(late), ['cancel a', 'pull b'], 'where something else took it there is not')
})

t.test('who has the smallest part of what it wants goes first, then the most asked for', async t => {
  const demand = new Map(
    ['x', 'y'].map((model, i) => [
      model,
      {
        requests: i,
        waitMs: 0,
        runMs: 0,
        loads: 0,
        loadMs: 0,
        evictions: 0,
        byLabels: new Map(),
        byNode: new Map(),
      },
    ]),
  )
  const policies = {
    v: { replicasMin: 2 },
    w: { replicasMin: 2 },
    x: { replicasMin: 1 },
    y: { replicasMin: 1 },
  }
  const { actions } = plan(scene({ nodes: abc, policies, demand, copies: [copy('v', 'a')] }))
  t.same(
    actions.map(({ model }) => model),
    ['y', 'w', 'w', 'x', 'v'].sort(
      (a, b) => ['y', 'w', 'x', 'v'].indexOf(a) - ['y', 'w', 'x', 'v'].indexOf(b),
    ),
  )
})

t.test('too many copies: the least fitting goes, never one that is needed', async t => {
  const all = abc.map(({ name }) => copy(M, name))
  const max = (n: number, words: Partial<Words> = {}): readonly string[] =>
    deeds({ nodes: abc, copies: all, ...wants({ replicasMax: n, prefer: ['b'] }), ...words })
  t.equal(max(2).length, 1)
  t.equal(max(1).length, 2)
  t.notOk(max(1).includes('remove b'), 'what is preferred stays')
  t.same(max(3), [])
  const resident = ['a', 'b'].map(name => copy(M, name, { state: 'resident' }))
  t.same(max(2, { copies: [...resident, copy(M, 'c')] }), ['remove c'], 'what is not in memory goes first')
  t.same(
    max(1, { copies: [copy(M, 'a'), copy(M, 'b', { digest: 'other' })] }),
    [],
    'what is not what the others are stays, and so do they',
  )
  t.same(max(1, { running: (_name, model) => (model === M ? 1 : 0) }), [], 'not one that works')
  t.same(max(1, { copies: resident, waiting: () => 1 }), [], 'not from memory while somebody waits')
  t.same(
    max(1, { copies: resident.map(one => ({ ...one, state: 'loading' as const })) }),
    [],
    'not one that loads',
  )
  const fresh = node('b', { since: NOW - CARE.graceMs + 1 })
  t.same(max(1, { nodes: [node('a'), fresh], copies: all.slice(0, 2) }), [], 'not for one that came just now')
  t.same(
    max(1, { nodes: [node('a', { duty: 'empty' }), node('b')], copies: all.slice(0, 2) }),
    [],
    'not one in drain, and not the only one at work',
  )
  const late = node('b', { since: NOW - CARE.graceMs })
  t.same(
    max(1, { nodes: [node('a'), late], copies: all.slice(0, 2) }),
    ['remove b'],
    'who came last goes first',
  )
  t.match(
    plan(
      scene({
        nodes: [node('a'), fresh],
        copies: all.slice(0, 2),
        ...wants({ replicasMax: 1, prefer: ['b'] }),
      }),
    ).unmet,
    [{ model: M, reason: /^it has one copy too many; b has not been up and at work .*; a is needed: / }],
  )
})

t.test('copies against the policy go once there are enough where it wants them', async t => {
  const policy = wants({ replicasMin: 1, replicasMax: 1, avoid: ['a'] })
  t.same(deeds({ nodes: [node('a'), node('b')], copies: [copy(M, 'a')], ...policy }), ['pull b'])
  t.same(deeds({ nodes: [node('a'), node('b')], copies: [copy(M, 'a'), copy(M, 'b')], ...policy }), [
    'remove a',
  ])
  t.same(
    deeds({
      nodes: [node('a'), node('b')],
      copies: [copy(M, 'a'), copy(M, 'b')],
      ...wants({ replicasMin: 1, avoid: ['a'] }),
    }),
    [],
    'only where it says how many at most',
  )
})

t.test('what nobody needs any more is called off', async t => {
  const one = (more: Parameters<typeof open>[2], words: Partial<Words> = {}): readonly string[] =>
    deeds({ nodes: [node('a')], open: [open(M, 'a', more)], ...wants({ replicasMin: 1 }), ...words })
  t.same(one({}), [])
  t.same(one({}, { policies: {} }), ['cancel a'], 'its policy is gone')
  t.same(one({ state: 'running' }, { policies: {} }), [], 'but it has begun')
  t.same(one({ cause: 'asked' }, { policies: {} }), [], 'but somebody asked for it')
  t.same(one({ cause: 'asked' }, { nodes: [] }), ['cancel a'], 'its node is gone')
  const lost = { nodes: [node('a', { reach: 'down', since: NOW - CARE.graceMs }), node('b')] }
  t.same(one({ state: 'running' }, lost), ['cancel a', 'pull b'], 'its node is lost: another gets it')
  t.same(one({ state: 'running' }, wants({ replicasMin: 1, avoid: ['a'] })), ['cancel a'])
  t.same(one({}, { nodes: [node('a', { duty: 'draining' }), node('b')] }), ['cancel a', 'pull b'])
  t.same(one({}, { copies: [copy(M, 'b')], nodes: [node('a'), node('b')] }), ['cancel a'], 'there are enough')
  const fresh = node('b', { since: NOW - 1 })
  t.same(one({}, { copies: [copy(M, 'b')], nodes: [node('a'), fresh] }), [], 'not for one that came just now')
  t.same(one({}, { freeBytes: () => 3e9 }), ['cancel a'], 'its disk is full')
  t.same(one({ cause: 'optimize' }, { policies: {} }), [])
  const twice = [open(M, 'a', { seq: 1 }), open(M, 'b', { seq: 2 })]
  t.same(
    deeds({ nodes: abc, open: twice, ...wants({ replicasMin: 1 }) }),
    ['cancel b'],
    'the last to come goes',
  )
})

t.test('whether a copy may go is asked again before it does', async t => {
  const words = {
    nodes: abc,
    copies: [copy(M, 'a'), copy(M, 'b')],
    ...wants({ replicasMax: 1, prefer: ['b'] }),
  }
  t.equal(mayRemove(scene(words), M, 'a'), undefined)
  t.match(mayRemove(scene({ ...words, running: () => 1 }), M, 'a'), /works with it/)
  t.match(mayRemove(scene({ ...words, copies: [copy(M, 'a')] }), M, 'a'), /not one too many/)
})

t.test('where a pull goes that somebody asks for', async t => {
  const words: Words = {
    nodes: [node('a'), node('b', { since: NOW }), node('c', { duty: 'empty' }), node('d', { reach: 'down' })],
    copies: [copy(M, 'b')],
    ...wants({ avoid: ['a'] }),
  }
  t.match(choose(scene(words), M, { all: true }), {
    nodes: [{ node: 'b', has: true }],
    excluded: [
      { node: 'a', why: 'not by its policy' },
      { node: 'c', why: 'is drained' },
      { node: 'd', why: 'is down' },
    ],
    sizeBytes: 4e9,
  })
  const named = choose(scene(words), M, { nodes: ['a', 'd', 'x', 'c', 'a'] })
  t.same(named.nodes.map(({ node: at }) => at).sort(), ['a', 'c', 'd'], 'whoever names a node means it')
  t.same(named.excluded, [{ node: 'x', why: 'there is no such node' }])
  const full = choose(scene({ ...words, freeBytes: () => 5e9 }), M, { nodes: ['a', 'b'] })
  t.same(full.nodes, [{ node: 'b', has: true }])
  t.same(full.excluded, [{ node: 'a', why: 'has no room on its disk' }])
  const free = scene({ nodes: abc, copies: [copy(M, 'b')] })
  t.same(choose(free, M, { count: 1 }).nodes, [{ node: 'b', has: true }], 'who has it comes first')
  t.equal(choose(free, M, { count: 2 }).nodes.length, 2)
  t.equal(choose(free, M, { count: 9 }).nodes.length, 3)
  const bound = { nodes: abc, open: [open(M, 'b', { cause: 'asked' })], freeBytes: () => 9.5e9 }
  for (const how of [{ count: 1 }, { nodes: ['b'] }])
    t.same(
      choose(scene(bound), M, how).nodes,
      [{ node: 'b', has: false }],
      'it is on its way, and has its room',
    )
  t.equal(choose(scene({ ...bound, nodes: [node('b')] }), M, { all: true }).nodes.length, 1)
  t.same(
    choose(scene({ ...bound, copies: [copy(M, 'c')] }), M, { count: 2 }).nodes.map(({ node: at }) => at),
    ['c', 'b'],
  )
  const many = scene({ nodes: Array.from({ length: 40 }, (_, i) => node(`n${i}`)) })
  t.equal(choose(many, M, { all: true }).nodes.length, 40)
  t.equal(choose(many, M, { count: 1 }).candidates.length, 8)
})
