import t from 'tap'
import { mulberry32 } from '../../../src/clock.ts'
import { digestOf, type EmbeddingPath, readAsk } from '../../../src/gateway/embedding/ask.ts'
import { merge } from '../../../src/gateway/embedding/merge.ts'

const BYTES_MAX = 4_096

function read(route: string, body: string | Buffer, more: object = {}) {
  return readAsk({ route, target: route, headers: {}, body: Buffer.from(body), ...more }, BYTES_MAX)
}

t.test('what is understood: the frame in a fixed order, and the inputs as texts', async t => {
  for (const [route, body, frame, inputs] of [
    ['/api/embed', '{"model":"m","input":"a"}', '"model":"m"', ['a']],
    ['/api/embed', ' {\n "input" : [ "a" , "b\\n" ] ,\t"model": "m" } \n', '"model":"m"', ['a', 'b\n']],
    [
      '/api/embed',
      '{"keep_alive":"5m","options":{"num_ctx": 1e3},"dimensions":8,"truncate":false,"input":"\\u00e9 }","model":"a/b:c-d"}',
      '"model":"a/b:c-d","truncate":false,"dimensions":8,"keep_alive":"5m","options":{"num_ctx": 1e3}',
      ['é }'],
    ],
    ['/api/embeddings', '{"model":"m","prompt":"a","keep_alive":-1}', '"model":"m","keep_alive":-1', ['a']],
    [
      '/v1/embeddings',
      '{"model":"m","input":["a"],"encoding_format":"base64"}',
      '"model":"m","encoding_format":"base64"',
      ['a'],
    ],
  ] as const) {
    const ask = read(route, body)
    t.same({ ...ask }, { path: route, frame, inputs, bytes: Buffer.byteLength(inputs.join('')) }, body)
  }
})

t.test('what goes by itself', async t => {
  const good = '{"model":"m","input":"a"}'
  for (const [why, route, body, more] of [
    ['another path', '/api/generate', good],
    ['a query', '/api/embed', good, { target: '/api/embed?a=b' }],
    ['packed', '/v1/embeddings', good, { headers: { 'content-encoding': 'zstd' } }],
    ['nothing', '/api/embed', ''],
    ['no object', '/api/embed', '["model","input"]'],
    ['no JSON', '/api/embed', '{"model":"m","input":"a"'],
    ['more after it', '/api/embed', `${good}{}`],
    ['a byte order mark', '/api/embed', `\ufeff${good}`],
    ['no UTF-8', '/api/embed', Buffer.from('{"model":"m","input":"\xff"}', 'latin1')],
    ['half a character', '/api/embed', '{"model":"m","input":"\\ud83e"}'],
    ['no model', '/api/embed', '{"input":"a"}'],
    ['an odd model', '/api/embed', '{"model":" m","input":"a"}'],
    ['a cloud model', '/api/embed', '{"model":"m:cloud","input":"a"}'],
    ['no input', '/api/embed', '{"model":"m"}'],
    ['an empty input', '/api/embed', '{"model":"m","input":""}'],
    ['an empty one among inputs', '/v1/embeddings', '{"model":"m","input":["a",""]}'],
    ['no inputs', '/api/embed', '{"model":"m","input":[]}'],
    ['tokens', '/v1/embeddings', '{"model":"m","input":[1,2]}'],
    ['lists of tokens', '/v1/embeddings', '{"model":"m","input":[[1],[2]]}'],
    ['several prompts', '/api/embeddings', '{"model":"m","prompt":["a"]}'],
    ['an input where a prompt belongs', '/api/embeddings', good],
    ['a field unknown', '/v1/embeddings', '{"model":"m","input":"a","user":"me"}'],
    ['an image', '/api/embed', '{"model":"m","input":"a","images":["aGk="]}'],
    ['another path’s field', '/api/embed', '{"model":"m","input":"a","encoding_format":"float"}'],
    ['an option where there are none', '/v1/embeddings', '{"model":"m","input":"a","options":{}}'],
    ['a name in capitals', '/api/embed', '{"Model":"m","input":"a"}'],
    ['a name in escapes', '/api/embed', '{"model":"m","inp\\u0075t":"a"}'],
    ['a name twice', '/api/embed', '{"model":"m","input":"a","input":"b"}'],
    ['null', '/api/embed', '{"model":"m","input":"a","options":null}'],
    ['an odd truth', '/api/embed', '{"model":"m","input":"a","truncate":1}'],
    ['odd dimensions', '/api/embed', '{"model":"m","input":"a","dimensions":2.0}'],
    ['an odd encoding', '/v1/embeddings', '{"model":"m","input":"a","encoding_format":"hex"}'],
    ['an odd stay', '/api/embed', '{"model":"m","input":"a","keep_alive":"abc"}'],
    ['a long one', '/api/embed', `{"model":"m","input":"${'a'.repeat(BYTES_MAX)}"}`],
  ] as const) {
    t.equal(read(route, body, more), undefined, why)
  }
})

t.test('whatever is understood says the same when it is written again', async t => {
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  t.comment(`SEED=${seed}`)
  const chance = mulberry32(seed)
  const pick = <T>(of: readonly T[]): T => of[Math.floor(chance() * of.length)]!
  const word = (): string =>
    Array.from({ length: 1 + Math.floor(chance() * 6) }, () =>
      pick(['a', '"', '\\', '{', '}', '[', ']', ',', ':', '\n', '\u2028', 'é', '🦆', '\u0000', '<', ' ']),
    ).join('')
  const escaped = (text: string): string =>
    chance() < 0.5
      ? JSON.stringify(text)
      : `"${[...text].map(c => [...Array(c.length)].map((_, i) => `\\u${c.charCodeAt(i).toString(16).padStart(4, '0')}`).join('')).join('')}"`
  const gap = (): string => pick(['', '', ' ', '\n', '\t ', '  '])
  let understood = 0
  for (let i = 0; i < 2_000; i += 1) {
    const route: EmbeddingPath = pick(['/api/embed', '/v1/embeddings'])
    const inputs = Array.from({ length: 1 + Math.floor(chance() * 4) }, word)
    const fields = [
      `"model"${gap()}:${gap()}"m"`,
      `"input":${gap()}${inputs.length === 1 && chance() < 0.5 ? escaped(inputs[0]!) : `[${gap()}${inputs.map(escaped).join(`${gap()},${gap()}`)}]`}`,
      ...(chance() < 0.3 ? ['"dimensions" : 4'] : []),
      ...(chance() < 0.3
        ? [`"options":{"stop":[${escaped(word())}], "num_ctx":${pick(['1', '1e2', '3.0'])}}`]
        : []),
      ...(chance() < 0.1 ? [`${escaped(word())}:1`] : []),
    ].sort(() => chance() - 0.5)
    const body = `${gap()}{${gap()}${fields.join(`${gap()},${gap()}`)}${gap()}}${gap()}`
    const ask = read(route, body)
    if (ask === undefined) continue
    understood += 1
    const { input, ...rest } = JSON.parse(body)
    const again = JSON.parse(merge([ask]).body.toString())
    const told = { input: [...new Set([input].flat())], ...rest }
    if (JSON.stringify(sorted(again)) !== JSON.stringify(sorted(told))) t.same(again, told, body)
  }
  t.ok(understood > 1_000, `${understood} of 2,000 were understood`)
})

t.test('a digest tells inputs apart, also by their order and their ends', async t => {
  const digests = [
    '["a","b"]',
    '["b","a"]',
    '["ab"]',
    '["a,b"]',
    '["a\\",\\"b"]',
    '"a"',
    '["a","b","b"]',
  ].map(inputs => digestOf(read('/api/embed', `{"model":"m","input":${inputs}}`)!))
  t.equal(new Set(digests).size, digests.length)
})

function sorted(value: object): object {
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
}
