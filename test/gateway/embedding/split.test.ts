import t from 'tap'
import { merge, shares } from '../../../src/gateway/embedding/merge.ts'
import { type MergingPath, putTogether, takeApart } from '../../../src/gateway/embedding/split.ts'

/** As Ollama 0.33 wrote them. */
const NATIVE =
  '{"model":"tinyembed","embeddings":[[-0.0051478073,0.99998677],[0.63829374,0.7697929]],"total_duration":464476570,"load_duration":1268679,"prompt_eval_count":6}'
const OPENAI =
  '{"object":"list","data":[{"object":"embedding","embedding":[-0.0051478073,0.99998677],"index":0},{"object":"embedding","embedding":[0.63829374,0.7697929],"index":1}],"model":"tinyembed","usage":{"prompt_tokens":6,"total_tokens":6}}\n'
const BASE64 =
  '{"object":"list","data":[{"object":"embedding","embedding":"8K6ouyL/fz8=","index":0}],"model":"tinyembed","usage":{"prompt_tokens":3,"total_tokens":3}}\n'

t.test('an answer of Ollama’s comes apart into the texts it was made of', async t => {
  const vectors = ['[-0.0051478073,0.99998677]', '[0.63829374,0.7697929]']
  t.same(takeApart('/api/embed', NATIVE), {
    model: '"tinyembed"',
    vectors,
    durations: ',"total_duration":464476570,"load_duration":1268679',
    tokens: 6,
  })
  t.same(takeApart('/v1/embeddings', OPENAI), { model: '"tinyembed"', vectors, durations: '', tokens: 6 })
  t.same(takeApart('/v1/embeddings', BASE64)?.vectors, ['"8K6ouyL/fz8="'])
  t.match(takeApart('/api/embed', '{"model":"m","embeddings":[[1e-7,-3e+38,1]]}'), {
    vectors: ['[1e-7,-3e+38,1]'],
    durations: '',
    tokens: 0,
  })
})

t.test('its parts make answers like it', async t => {
  const parts = takeApart('/api/embed', NATIVE)!
  const { tokens: _sum, ...uncounted } = { ...parts, vectors: [parts.vectors[1]!] }
  t.equal(
    putTogether('/api/embed', uncounted),
    '{"model":"tinyembed","embeddings":[[0.63829374,0.7697929]],"total_duration":464476570,"load_duration":1268679}',
  )
  const openai = takeApart('/v1/embeddings', OPENAI)!
  t.equal(
    putTogether('/v1/embeddings', { ...openai, vectors: [openai.vectors[1]!], tokens: 3 }),
    '{"object":"list","data":[{"object":"embedding","embedding":[0.63829374,0.7697929],"index":0}],"model":"tinyembed","usage":{"prompt_tokens":3,"total_tokens":3}}\n',
  )
})

t.test('what is not written as Ollama writes stays whole', async t => {
  const odd: readonly (readonly [MergingPath, string])[] = [
    ['/api/embed', ''],
    ['/api/embed', OPENAI],
    ['/v1/embeddings', NATIVE],
    ['/api/embed', `${NATIVE}\n`],
    ['/api/embed', NATIVE.replace(',"embeddings"', ', "embeddings"')],
    ['/api/embed', NATIVE.replace('],[', '], [')],
    ['/api/embed', NATIVE.replace('0.63829374', 'null')],
    ['/api/embed', NATIVE.replace('0.63829374', '"]]"')],
    ['/api/embed', NATIVE.replace('"tinyembed"', '"tiny\\"embed"')],
    ['/api/embed', NATIVE.replace('}', ',"more":1}')],
    ['/api/embed', '{"model":"m","embeddings":[]}'],
    ['/api/embed', '{"error":"]]"}'],
    ['/v1/embeddings', OPENAI.trimEnd()],
    ['/v1/embeddings', OPENAI.replace('"index":1', '"index":0')],
    ['/v1/embeddings', OPENAI.replace('"total_tokens":6', '"total_tokens":7')],
    ['/v1/embeddings', OPENAI.replace('[0.63829374,0.7697929]', 'null')],
    [
      '/v1/embeddings',
      '{"object":"list","data":null,"model":"m","usage":{"prompt_tokens":0,"total_tokens":0}}\n',
    ],
  ]
  for (const [path, text] of odd) t.equal(takeApart(path, text), undefined, text)
})

t.test('each text is asked for once, and each request finds its own again', async t => {
  const ask = (...inputs: string[]) =>
    ({ path: '/api/embed', frame: '"model":"m"', inputs, bytes: 0 }) as const
  const { body, inputs, places } = merge([ask('b', 'a', 'b'), ask('c'), ask('a')])
  t.equal(body.toString(), '{"model":"m","input":["b","a","c"]}')
  t.same(inputs, ['b', 'a', 'c'])
  t.same(places, [[0, 1, 0], [2], [1]])
})

t.test('shares of tokens are whole, by bytes, and no token is lost', async t => {
  t.same(shares(12, ['aa', 'aa', 'aa']), [4, 4, 4])
  t.same(shares(10, ['a', 'aaa']), [3, 7])
  t.same(shares(0, ['a', 'b']), [0, 0])
  for (let tokens = 0; tokens < 50; tokens += 1) {
    const each = shares(tokens, ['one', 'é', 'three words here', '🦆🦆', 'x'])
    t.equal(
      each.reduce((sum, share) => sum + share, 0),
      tokens,
    )
    t.ok(each.every(share => share >= 0))
  }
})
