/** Embedding requests that wait share calls to a node; what each client hears is compared with what it hears alone. */
import t, { type Test } from 'tap'
import type { Flags } from '../../src/config.ts'
import { type Sim, type SimOptions, startSim } from '../../src/sim/sim.ts'
import { houseOf } from '../gateway/odd.ts'
import { type Ward, ward } from './ward.ts'
import { storyOf, type World } from './world.ts'

interface Scene extends World {
  readonly sim: Sim
  readonly ward: Ward
  /** The bodies that were asked of the node while these waited behind one that held the only slot, in order. */
  behind(...asks: readonly Ask[]): Promise<{ answers: Promise<Heard>[]; release: () => Promise<string[]> }>
}

type Ask = readonly [path: string, body: object, client?: AbortController]

interface Heard {
  readonly status: number
  readonly type: string | null
  readonly length: string | null
  readonly body: string
  readonly id: string
  readonly batch: string | null
}

const SIM = { models: 'embed:latest,tiny:latest', loadMs: 5, prefillTps: 1e6, numCtx: 256 } as const

/** A house in front of one node with one slot, that has the model in memory. */
async function scene(
  t: Test,
  flags: Flags = {},
  { model = 'embed', ...options }: Partial<SimOptions> & { model?: string } = {},
): Promise<Scene> {
  const sim = await startSim({ ...SIM, ...options })
  t.teardown(() => sim.close())
  const guard = await ward(t, sim)
  const w = await houseOf(t, [guard], { node: [`${guard.url},name=n1,slots=1,resident=2`], ...flags })
  await (await w.post('/api/embed', { model, input: 'warm up' })).text()
  await w.fact('request.completed')
  return {
    ...w,
    sim,
    ward: guard,
    async behind(...asks) {
      const before = guard.asked.length
      const admitted = (await w.facts('request.admitted')).length
      const release = guard.hold()
      const holder = hear(w.url, ['/api/embed', { model, input: 'the one that holds the slot' }])
      await guard.asks(before + 1)
      const answers: Promise<Heard>[] = []
      for (const [i, ask] of asks.entries()) {
        answers.push(hear(w.url, ask))
        answers.at(-1)!.catch(() => {})
        while ((await w.facts('request.admitted')).length < admitted + 2 + i) await turn()
      }
      return {
        answers,
        async release() {
          release()
          await holder
          await Promise.allSettled(answers)
          return guard.asked.slice(before + 1).map(({ body }) => body)
        },
      }
    },
  }
}

const turn = () => new Promise<void>(resolve => setTimeout(resolve, 1))

async function hear(url: string, [path, body, client]: Ask): Promise<Heard> {
  const text = JSON.stringify(body)
  const res = await fetch(url + path, {
    method: 'POST',
    body: text,
    ...(client && { signal: client.signal }),
  })
  return {
    status: res.status,
    type: res.headers.get('content-type'),
    length: res.headers.get('content-length') === null ? null : 'told',
    body: await res.text(),
    id: res.headers.get('x-quipu-request') ?? '',
    batch: res.headers.get('x-quipu-batch'),
  }
}

/** As it was said, but for how long it took. */
const timeless = ({ status, type, length, body }: Heard) => ({
  status,
  type,
  length,
  body: body.replace(/_duration":\d+/g, '_duration":0'),
})

/** And for what a call of several does not tell. */
const uncounted = (heard: Heard) => {
  const told = timeless(heard)
  return { ...told, body: told.body.replace(/,"prompt_eval_count":\d+/, '') }
}

const embed = (input: unknown, more: object = {}): Ask => ['/api/embed', { model: 'embed', input, ...more }]
const leaving = ([path, body]: Ask, client: AbortController): Ask => [path, body, client]
const old = (prompt: string): Ask => ['/api/embeddings', { model: 'embed', prompt }]
const v1 = (input: unknown, more: object = {}): Ask => ['/v1/embeddings', { model: 'embed', input, ...more }]

t.test(
  'those who wait for vectors share one call, and each hears what it would have heard alone',
  async t => {
    const s = await scene(t)
    const asks = [
      embed('a single text'),
      embed(['two', 'texts']),
      embed('<b>&amp; "quotes"\n\\ \u2028 é 🦆 ﷽</b>'),
      embed(Array.from({ length: 9 }, (_, i) => `one of many, ${i}`)),
      embed('a single text'),
      embed(['texts', 'and', 'texts']),
    ]
    const { answers, release } = await s.behind(...asks)
    const bodies = await release()
    t.equal(bodies.length, 1, 'one call')
    const many = Array.from({ length: 9 }, (_, i) => `one of many, ${i}`)
    t.same(
      JSON.parse(bodies[0]!),
      {
        model: 'embed',
        input: ['a single text', 'two', 'texts', '<b>&amp; "quotes"\n\\ \u2028 é 🦆 ﷽</b>', ...many, 'and'],
      },
      'each text once, in the order they came',
    )
    const ids = await Promise.all(answers.map(async answer => (await answer).id))
    for (const [i, ask] of asks.entries()) {
      const alone = await hear(s.sim.url, ask)
      const heard = await answers[i]!
      t.same(uncounted(heard), uncounted(alone), `the answer to number ${i}`)
      t.notMatch(heard.body, 'prompt_eval_count', 'which nobody knows')
      t.match(heard.body, /,"total_duration":\d+,"load_duration":\d+\}$/)
      t.equal(heard.batch, ids[0])
      t.same(await storyOf(s, heard.id), [
        ...['request.admitted', 'request.assigned', 'request.begun', 'request.completed'],
      ])
      const completed = await s.fact('request.completed', ({ id }) => id === heard.id)
      t.match(completed.data, { bytes: Buffer.byteLength(heard.body), chunks: 1, status: 200, node: 'n1' })
      t.notOk('promptTokens' in completed.data)
    }
  },
)

t.test('equal questions share one answer on every path, with its figures', async t => {
  const s = await scene(t)
  const asks = [
    embed(['same', 'texts']),
    embed(['same', 'texts']),
    old('the same prompt'),
    old('the same prompt'),
    v1('the same input'),
    v1('the same input'),
    v1('the same input', { encoding_format: 'base64' }),
    v1('the same input', { encoding_format: 'base64' }),
  ]
  const { answers, release } = await s.behind(...asks)
  const bodies = await release()
  t.equal(bodies.length, asks.length / 2, 'one call for two')
  for (const [i, ask] of asks.entries()) {
    t.same(timeless(await answers[i]!), timeless(await hear(s.sim.url, ask)), JSON.stringify(ask))
  }
  const counts = await s.facts('request.completed')
  t.match(counts.at(-1)!.data, { promptTokens: Number })
})

t.test(
  'without a way to tell their tokens apart, different inputs of OpenAI’s clients go by themselves',
  async t => {
    const s = await scene(t)
    const asks = [v1('one'), v1('another'), old('one'), old('another')]
    const { answers, release } = await s.behind(...asks)
    t.equal((await release()).length, 4)
    for (const [i, ask] of asks.entries()) {
      t.same(timeless(await answers[i]!), timeless(await hear(s.sim.url, ask)))
    }
  },
)

t.test('with --batch shares they are merged, and each is told its share of the tokens', async t => {
  const s = await scene(t, { batch: 'shares' })
  const asks = [
    v1('one'),
    v1(['another', 'and one more that is longer than the others']),
    v1('one'),
    embed('native'),
    embed('and native'),
    v1('b', { encoding_format: 'base64', dimensions: 8 }),
    v1(['c', 'd'], { encoding_format: 'base64', dimensions: 8 }),
  ]
  const { answers, release } = await s.behind(...asks)
  t.equal((await release()).length, 3, 'as floats, natively, as base64')
  const ids = await Promise.all(answers.map(async answer => (await answer).id))
  const tokens = async (i: number): Promise<number> =>
    Number(/"(?:prompt_tokens|prompt_eval_count)":(\d+)/.exec((await answers[i]!).body)![1])
  for (const [i, ask] of asks.entries()) {
    const blind = (heard: Heard) => ({
      ...timeless(heard),
      body: timeless(heard).body.replace(/"(prompt_tokens|total_tokens|prompt_eval_count)":\d+/g, '"$1":n'),
    })
    t.same(blind(await answers[i]!), blind(await hear(s.sim.url, ask)), JSON.stringify(ask))
    t.match(await s.fact('request.completed', ({ id }) => id === ids[i]), {
      data: { promptTokens: await tokens(i) },
    })
  }
  const whole = JSON.parse(
    (await hear(s.sim.url, v1(['one', 'another', 'and one more that is longer than the others']))).body,
  )
  t.equal((await tokens(0)) + (await tokens(1)), whole.usage.prompt_tokens, 'no token is lost or made up')
  t.equal(await tokens(2), await tokens(0))
})

t.test('one that asks too much hears so, and the others their vectors', async t => {
  const s = await scene(t)
  const strict = { truncate: false }
  const asks = [
    embed('short', strict),
    embed(['short too', 'word '.repeat(400)], strict),
    embed('word '.repeat(400), strict),
    embed('short as well', strict),
  ]
  const { answers, release } = await s.behind(...asks)
  t.equal((await release()).length, 1 + asks.length, 'the call that failed, and one for each')
  for (const [i, ask] of asks.entries()) {
    t.same(
      timeless(await answers[i]!),
      timeless(await hear(s.sim.url, ask)),
      JSON.stringify(ask).slice(0, 50),
    )
  }
  t.same(await Promise.all(answers.map(async answer => (await answer).status)), [200, 400, 400, 200])
  t.equal((await s.facts('request.retried')).length, 0)
})

t.test('what is true of a model is told to all at once', async t => {
  const s = await scene(t, {}, { model: 'tiny' })
  const asks = [1, 2, 3].map(i => ['/api/embed', { model: 'tiny', input: `text ${i}` }] as const)
  const { answers, release } = await s.behind(...asks)
  t.equal((await release()).length, 1)
  for (const [i, ask] of asks.entries()) {
    t.equal((await answers[i]!).status, 501)
    t.same(timeless(await answers[i]!), timeless(await hear(s.sim.url, ask)))
  }
})

t.test('a shared call takes one slot, and says so', async t => {
  const s = await scene(t)
  const { answers, release } = await s.behind(embed('leads'), embed('rides along'))
  const asked = s.ward.asked.length
  const passed = release()
  const again = s.ward.hold()
  await s.ward.asks(asked + 1)
  const [node] = (await (await fetch(`${s.url}/quipu/nodes`)).json()) as [{ running: number }]
  t.equal(node.running, 1)
  again()
  await passed
  const [leader, rider] = await Promise.all(answers)
  const story = async ({ id }: Heard) =>
    (await (await fetch(`${s.url}/quipu/requests/${id}/why`)).json()) as { sentence: string }
  t.match((await story(leader!)).sentence, /and a free slot; others rode along\. Answered 200/)
  t.match(
    (await story(rider!)).sentence,
    `Ran on n1 because it rode along in batch ${leader!.id}. Answered 200`,
  )
  const summary = (await (await fetch(`${s.url}/quipu/requests/${rider!.id}`)).json()) as object
  t.match(summary, { batch: leader!.id, node: 'n1' })
  const assigned = await s.facts('request.assigned')
  t.same(
    assigned.slice(-2).map(({ data }) => data.batch),
    [leader!.id, leader!.id],
  )
})

t.test('who leaves is left out; the call goes on while anybody wants it', async t => {
  const s = await scene(t)
  const clients = Array.from({ length: 4 }, () => new AbortController())
  const texts = ['leads', 'stays', 'leaves too', 'stays as well']
  const { answers, release } = await s.behind(...texts.map((text, i) => leaving(embed(text), clients[i]!)))
  const asked = s.ward.asked.length
  const passed = release()
  const again = s.ward.hold()
  await s.ward.asks(asked + 1)
  clients[0]!.abort()
  clients[2]!.abort()
  while ((await s.facts('request.abandoned')).length < 2) await turn()
  t.equal(s.ward.asked.at(-1)!.left, false)
  again()
  await passed
  for (const i of [1, 3])
    t.same(uncounted(await answers[i]!), uncounted(await hear(s.sim.url, embed(texts[i]))))
  t.equal((await s.facts('request.completed')).length, 4, 'with the first, and the one that held the slot')
})

t.test('when all have left, the node is told', async t => {
  const s = await scene(t)
  const clients = [new AbortController(), new AbortController()]
  const { answers, release } = await s.behind(
    ...clients.map((client, i) => leaving(embed(`text ${i}`), client)),
  )
  const asked = s.ward.asked.length
  const passed = release()
  const again = s.ward.hold()
  await s.ward.asks(asked + 1)
  for (const client of clients) client.abort()
  while (!s.ward.asked.at(-1)!.left) await turn()
  again()
  await passed
  t.same(
    (await Promise.allSettled(answers)).map(({ status }) => status),
    ['rejected', 'rejected'],
  )
  t.same(
    (await s.facts('request.abandoned')).map(({ data }) => data.node),
    ['n1', 'n1'],
  )
  t.equal((await hear(s.url, embed('and the slot is free'))).status, 200)
})

t.test('who leaves before the call goes out is not in it', async t => {
  const s = await scene(t)
  const client = new AbortController()
  const { answers, release } = await s.behind(
    embed('leads'),
    leaving(embed('leaves'), client),
    embed('rides'),
  )
  client.abort()
  await s.fact('request.abandoned')
  const bodies = await release()
  t.same(
    bodies.map(body => JSON.parse(body).input),
    [['leads', 'rides']],
  )
  await Promise.allSettled(answers)
})

t.test('an input that breaks its call breaks it for no other', async t => {
  const s = await scene(t)
  s.ward.breaks = body => body.includes('poison')
  const asks = [embed('leads'), embed('the poison'), embed('rides along')]
  const { answers, release } = await s.behind(...asks)
  const bodies = await release()
  t.same(
    bodies.map(body => JSON.parse(body).input),
    [
      ['leads', 'the poison', 'rides along'],
      'leads',
      'the poison',
      'rides along',
      'the poison',
      'the poison',
    ],
    'together, one after another, and again as often as --attempts-max allows',
  )
  t.same(timeless(await answers[0]!), timeless(await hear(s.sim.url, asks[0]!)))
  t.equal((await answers[1]!).status, 502)
  t.same(timeless(await answers[2]!), timeless(await hear(s.sim.url, asks[2]!)))
  t.equal((await s.facts('request.retried')).length, 2)
})

t.test('where a node is gone all who shared its call are tried again, each by itself', async t => {
  const s = await scene(t, { 'attempts-max': '9' })
  const { answers, release } = await s.behind(embed('leads'), embed('rides along'), embed('too'))
  const asked = s.ward.asked.length
  const passed = release()
  const again = s.ward.hold()
  await s.ward.asks(asked + 1)
  await s.ward.down()
  while ((await s.facts('request.retried')).length < 3) await turn()
  again()
  await s.ward.up()
  await passed
  t.same(await Promise.all(answers.map(async answer => (await answer).status)), [200, 200, 200])
  t.same(await Promise.all(answers.map(async answer => (await answer).batch)), [null, null, null])
})

t.test('an answer in a form that is not Ollama’s is not taken apart', async t => {
  const s = await scene(t)
  const odd = (text: string): string => text.replace('{"model":"embed",', '{"model": "embed",')
  const texts = ['leads', 'rides along']
  const { answers, release } = await s.behind(...texts.map(text => embed(text)))
  s.ward.change = odd
  t.equal((await release()).length, 3, 'the call that was for nothing, and one for each')
  for (const [i, text] of texts.entries()) {
    const alone = await hear(s.sim.url, embed(text))
    t.same(timeless(await answers[i]!), timeless({ ...alone, body: odd(alone.body) }))
  }
})

t.test('what may share a call has limits, and can be turned off', async t => {
  const texts = ['a', 'b', ['c', 'd'], 'e', ['f', 'g', 'h', 'i'], 'j']
  for (const [flags, calls] of [
    [
      { 'batch-max': '3' },
      [
        ['a', 'b', 'e'],
        ['c', 'd', 'j'],
        ['f', 'g', 'h', 'i'],
      ],
    ],
    [{ 'batch-max': '1' }, texts],
    [{ batch: 'off' }, texts],
    [{ batch: 'exact' }, texts],
  ] as const) {
    const s = await scene(t, flags)
    const { answers, release } = await s.behind(...texts.map(text => embed(text)))
    t.same(
      (await release()).map(body => JSON.parse(body).input),
      calls,
      JSON.stringify(flags),
    )
    for (const [i, text] of texts.entries()) {
      t.same(uncounted(await answers[i]!), uncounted(await hear(s.sim.url, embed(text))))
    }
    await s.house.close()
  }
  const s = await scene(t, { 'batch-bytes-max': '1K' })
  const long = 'long '.repeat(80)
  const { release } = await s.behind(
    embed(`${long} a`),
    embed(`${long} b`),
    embed(`${long} c`),
    embed('short'),
  )
  t.same(
    (await release()).map(body => JSON.parse(body).input.length),
    [3, 402],
    'two of the long ones and the short one; then the last alone, as it came',
  )
})
