/** What routing reads from a body, against what Ollama would read from it. */
import { zstdCompressSync } from 'node:zlib'
import t from 'tap'
import { isCloud, isZero, peek, peekJson } from '../../src/gateway/peek.ts'

const CHAT = '/api/chat'
const read = (body: string | Buffer, path = CHAT, headers: Record<string, string> = {}) =>
  peek(path, typeof body === 'string' ? Buffer.from(body) : body, headers)

t.test('the model, its options and its keep_alive, whatever stands around them', async t => {
  const body = {
    stream: true,
    messages: [{ role: 'user', content: '"model":"no" }{[\\"' }, { tools: [[{ model: 'no' }]] }],
    model: 'Llama3:8b',
    options: { num_ctx: 4096, temperature: 1, use_mmap: false },
    keep_alive: '5m',
    think: null,
  }
  for (const text of [
    JSON.stringify(body),
    JSON.stringify(body, null, 3),
    ` \r\n\t${JSON.stringify(body)}junk`,
  ]) {
    t.same(await read(text), {
      model: 'Llama3:8b',
      options: { num_ctx: 4096, use_mmap: false },
      keepAlive: '5m',
      stream: true,
      cloud: false,
      unload: false,
      digests: [],
    })
  }
})

t.test(
  'field names count in any letter case, escaped too, and the last of several, but for null',
  async t => {
    for (const [text, model] of [
      ['{"MODEL":"a"}', 'a'],
      ['{"mOdEl":"a","model":"b"}', 'b'],
      ['{"model":"a","Model":"b"}', 'b'],
      ['{"model":"a","MODEL":null}', 'a'],
      ['{"mod\\u0065l":"a"}', 'a'],
      ['{"model":"\\u0061\\"\\\\"}', 'a"\\'],
      ['{"model":"é"}', 'é'],
      ['{"name":"a"}', undefined],
      ['{"model":""}', undefined],
      ['{"model":1}', undefined],
      ['{"model":"a","model":1}', undefined],
      [`{"${'m'.repeat(100_000)}":1,"model":"a"}`, 'a'],
    ] as const) {
      t.equal((await read(text)).model, model, text.slice(0, 60))
    }
    t.same((await read('{"optionſ":{"num_ctx":1}}')).options, { num_ctx: 1 }, 'Go takes a long s for an s')
  },
)

t.test('only native bodies have options and a keep_alive: elsewhere Ollama reads neither', async t => {
  const text = '{"model":"a","options":{"num_ctx":512},"keep_alive":-1}'
  t.match(await read(text), { model: 'a', options: { num_ctx: 512 }, keepAlive: -1 })
  for (const headers of [{}, { 'content-encoding': 'zstd' }]) {
    const body = 'content-encoding' in headers ? zstdCompressSync(Buffer.from(text)) : text
    const peeked = await read(body, '/v1/chat/completions', headers as Record<string, string>)
    t.same([peeked.model, 'options' in peeked, 'keepAlive' in peeked], ['a', false, false])
  }
})

t.test('what Go would not read names no model', async t => {
  for (const text of [
    '',
    ' ',
    'null',
    '[]',
    '"model"',
    '{',
    '{"model"',
    '{"model":',
    '{"model":"a"',
    '{"model":"a',
    '{"model":"a"]',
    '{"model" "a"}',
    '{"model":"a" "b"}',
    '{model:"a"}',
    '{"model":"a\n"}',
    '{"model":a}',
    '{"messages":["model":"a"',
    '\ufeff{"model":"a"}',
  ]) {
    t.equal((await read(text)).model, undefined, text)
  }
})

t.test('strings of any length end where they end', async t => {
  for (const length of [0, 1, 62, 63, 64, 65, 127, 128, 5_000]) {
    for (const inside of ['x', '\\\\', '\\"', 'é', '{', '\\\\\\"']) {
      const text = `{"prompt":"${inside.repeat(length)}","model":"a"}`
      t.equal((await read(text)).model, 'a', `${length} × ${inside}`)
      t.equal((await read(`{"p":["${inside.repeat(length)}",{"q":"]}"}],"model":"a"}`)).model, 'a')
    }
  }
})

t.test('a random object is read as JSON.parse reads it', async t => {
  const seed = Date.now() % 100_000
  let state = seed
  const chance = (n: number): number => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
    return Math.floor((state / 2_147_483_648) * n)
  }
  const value = (depth: number): unknown => {
    const kind = chance(depth > 3 ? 4 : 6)
    if (kind === 0) return chance(1e6) / 7
    if (kind === 1) return [true, false, null][chance(3)]
    if (kind < 4) return Array.from({ length: chance(90) }, () => '"\\{}[],: a\n€'[chance(12)]).join('')
    if (kind === 4) return Array.from({ length: chance(4) }, () => value(depth + 1))
    return Object.fromEntries(
      Array.from({ length: chance(4) }, (_, i) => [`${i}"${chance(9)}`, value(depth + 1)]),
    )
  }
  for (let round = 0; round < 300; round += 1) {
    const whole = { a: value(0), model: `m${round}`, b: value(0), stream: chance(2) === 1, c: value(0) }
    const { model, stream } = await read(JSON.stringify(whole, null, chance(3)))
    if (model !== whole.model || stream !== whole.stream) t.fail(`seed ${seed}: ${JSON.stringify(whole)}`)
  }
  t.pass(`seed ${seed}`)
})

t.test(
  'an empty question with keep_alive 0 is the wish to unload, an empty question alone is not',
  async t => {
    const generate = '/api/generate'
    for (const [path, text, unload] of [
      [generate, '{"model":"a","keep_alive":0}', true],
      [generate, '{"model":"a","keep_alive":"0s","prompt":""}', true],
      [generate, '{"model":"a","KEEP_ALIVE":0.0,"Prompt":null}', true],
      [generate, '{"model":"a","keep_alive":0,"prompt":" "}', false],
      [generate, '{"model":"a","keep_alive":"5m"}', false],
      [generate, '{"model":"a"}', false],
      [CHAT, '{"model":"a","keep_alive":0,"messages":[ ]}', true],
      [CHAT, '{"model":"a","keep_alive":0,"messages":[{}]}', false],
      [CHAT, `{"model":"a","keep_alive":0,"messages":[${'{},'.repeat(200_000)}{}]}`, false],
      ['/api/embed', '{"model":"a","keep_alive":0}', false],
      ['/v1/chat/completions', '{"model":"a","keep_alive":0}', false],
    ] as const) {
      t.equal((await read(text, path)).unload, unload, `${path} ${text.slice(0, 60)}`)
    }
    for (const zero of [0, -0, '0', '-0', '0s', '0ms', '0h0m0s', '0.0s', '.0s'])
      t.ok(isZero(zero), String(zero))
    for (const not of [1, -1, '1s', '', '0x', '5m', null, undefined, false, '00'])
      t.notOk(isZero(not), String(not))
  },
)

t.test('a name that Ollama would send to its cloud is known, however it is written', async t => {
  for (const name of [
    'x:cloud',
    'x:CLOUD',
    'x:20b-cloud',
    ' x:cloud\n',
    'x: cloud',
    'x:20b :\u00a0cloud',
    'a/x:cloud',
  ])
    t.ok(isCloud(name), JSON.stringify(name))
  for (const name of ['x', 'cloud', 'x-cloud', 'x:cloudy', 'cloud/x', 'x:local', 'x:cloud/y', ''])
    t.notOk(isCloud(name), JSON.stringify(name))
  for (const text of [
    '{"model":"x:cloud"}',
    '{"model":"x:cloud","MODEL":"tiny"}',
    '{"model":"tiny","Model":"x:cloud"}',
    '{"mod\\u0065l":"x:cl\\u006fud"}',
    `{"model":"${'x'.repeat(300_000)}:cloud"}`,
  ]) {
    t.ok((await read(text)).cloud, text.slice(0, 60))
  }
  t.notOk((await read('{"model":"tiny","messages":[{"model":"x:cloud"}]}')).cloud)
})

t.test('a packed body is unpacked where Ollama unpacks it', async t => {
  const packed = zstdCompressSync(Buffer.from('{"model":"a"}'))
  const headers = { 'content-encoding': 'zstd' }
  t.equal((await read(packed, '/v1/responses', headers)).model, 'a')
  t.equal((await read(packed, CHAT, headers)).model, undefined, 'the native API takes it for bad JSON')
  t.equal((await read(packed, '/v1/responses', { 'content-encoding': 'ZSTD' })).model, undefined)
})

t.test('a packed body that a node could read otherwise than the house is refused', async t => {
  const headers = { 'content-encoding': 'zstd' }
  const frames = [zstdCompressSync(Buffer.from('{"model":')), zstdCompressSync(Buffer.from('"x:cloud"}'))]
  for (const [what, body] of Object.entries({
    'two frames': Buffer.concat(frames),
    'half a frame': frames[0]!.subarray(0, -3),
    'no zstd': Buffer.from('{"model":"a"}'),
    'more than 20 MiB': zstdCompressSync(Buffer.alloc(21 * 1024 * 1024, ' ')),
  })) {
    t.equal(
      (await read(body, '/v1/chat/completions', headers)).unreadable,
      'failed to decompress request body',
      what,
    )
  }
})

t.test('what verbs need is read too', async t => {
  const body = JSON.stringify({
    name: 'old',
    from: 'base',
    source: 's',
    destination: 'd',
    insecure: true,
    stream: false,
    files: { 'a.gguf': 'sha256:1', bad: 7 },
    adapters: { b: 'sha256:2' },
    draft_files: ['sha256:3'],
  })
  t.same(await peekJson(Buffer.from(body)), {
    name: 'old',
    from: 'base',
    source: 's',
    destination: 'd',
    insecure: true,
    stream: false,
    digests: ['sha256:1', 'sha256:2', 'sha256:3'],
    cloud: false,
    unload: false,
  })
})

t.test('64 MiB of anything are read in many turns, so that they hold up nobody', async t => {
  const size = 64 * 1024 * 1024
  const filled = (unit: string): Buffer => Buffer.alloc(size - (size % unit.length), unit)
  const wrap = (head: string, middle: Buffer, tail: string): Buffer =>
    Buffer.concat([Buffer.from(head), middle, Buffer.from(tail)])
  for (const [what, body] of Object.entries({
    'an image': wrap('{"messages":[{"images":["', filled('A'), '"]}],"model":"a"}'),
    'short strings': wrap('{"messages":[', filled('"a",'), '0],"model":"a"}'),
    escapes: wrap('{"prompt":"', filled('\\"'), '","model":"a"}'),
    backslashes: wrap('{"prompt":"', filled('\\\\'), '","model":"a"}'),
    blanks: wrap('{', filled(' '), '"model":"a"}'),
    brackets: wrap('{"model":"a","x":', filled('['), ''),
  })) {
    let turns = 0
    let over = false
    const beat = (): void => {
      turns += 1
      if (!over) setImmediate(beat)
    }
    setImmediate(beat)
    const { model } = await read(body)
    over = true
    t.equal(model, what === 'brackets' ? undefined : 'a', what)
    t.ok(turns >= 12, `${what}: ${turns} turns`)
  }
})
