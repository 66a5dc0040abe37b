import { gzipSync, zstdCompressSync } from 'node:zlib'
import t from 'tap'
import { goJson } from '../../src/sim/gojson.ts'
import type { Sim } from '../../src/sim/sim.ts'
import { ask, type Question, quickSim } from './ask.ts'

const JSON8 = 'application/json; charset=utf-8'
const BARE = 'application/json'

type Row = [method: string, path: string, body: unknown, status: number, text: string, type?: string]

async function expectAll(
  t: { same: typeof import('tap').default.same },
  sim: Sim,
  rows: Row[],
  shape: (text: string) => string,
): Promise<void> {
  for (const [method, path, body, status, text, type = JSON8] of rows) {
    const question: Question = body === undefined ? { method } : { method, body }
    const reply = await ask(sim, path, question)
    const seen = { status: reply.status, type: reply.headers['content-type'], text: reply.text }
    t.same(seen, { status, type, text: shape(text) }, `${method} ${path} ${JSON.stringify(body)}`)
  }
}

const native = (text: string): string => `{"error":${JSON.stringify(text)}}`

t.test('the native API refuses in the words of Ollama 0.33', async t => {
  const sim = await quickSim(t, { models: 'tiny,tinyembed,think,see-vision' })
  const long = Array.from({ length: 300 }, () => 'word').join(' ')
  const file = '/var/lib/ollama/models/manifests/registry.ollama.ai/library/nope/latest'
  const tiny = { model: 'tiny', prompt: 'a', stream: false }
  // biome-ignore format: one row a line
  const rows: Row[] = [
    ['POST', '/api/generate', { model: 'nope', prompt: 'a' }, 404, "model 'nope' not found"],
    ['POST', '/api/chat', { model: 'nope', messages: [] }, 404, "model 'nope' not found"],
    ['POST', '/api/embed', { model: 'nope', input: 'a' }, 404, 'model "nope" not found, try pulling it first'],
    ['POST', '/api/embeddings', { model: 'nope' }, 404, 'model "nope" not found, try pulling it first'],
    ['POST', '/api/show', { model: 'nope' }, 404, "model 'nope:latest' not found"],
    ['DELETE', '/api/delete', { model: 'nope' }, 404, "model 'nope' not found"],
    ['POST', '/api/copy', { source: 'nope', destination: 'x' }, 404, 'model "nope" not found'],
    ['POST', '/api/push', { model: 'nope', stream: false }, 500, `open ${file}: no such file or directory`, BARE],
    ['POST', '/api/pull', { model: 'nope', stream: false }, 500, 'pull model manifest: file does not exist', BARE],
    ['POST', '/api/generate', {}, 404, "model '' not found"],
    ['POST', '/api/generate', { name: 'tiny' }, 404, "model '' not found"],
    ['POST', '/api/embed', {}, 404, "model '' not found"],
    ['POST', '/api/chat', {}, 400, 'model is required'],
    ['POST', '/api/embeddings', {}, 400, 'model is required'],
    ['POST', '/api/show', {}, 400, 'model is required'],
    ['DELETE', '/api/delete', {}, 400, 'model is required'],
    ['POST', '/api/push', {}, 400, 'model is required'],
    ['POST', '/api/pull', {}, 400, 'invalid model name'],
    ['POST', '/api/create', {}, 400, 'invalid model name'],
    ['POST', '/api/create', { model: 'x' }, 400, "neither 'from' or 'files' was specified", BARE],
    ['POST', '/api/create', { model: 'x', files: { '../a': `sha256:${'0'.repeat(64)}` } }, 400, 'file path must be relative'],
    ['POST', '/api/create', { model: 'x', files: { a: '' } }, 400, 'invalid digest format'],
    ['POST', '/api/create', { model: 'x', files: {} }, 400, 'unknown type', BARE],
    ['POST', '/api/copy', {}, 400, 'source "" is invalid'],
    ['POST', '/api/copy', { source: 'tiny', destination: 'a b' }, 400, 'destination "a b" is invalid'],
    ...['generate', 'chat', 'embed', 'embeddings', 'show', 'pull', 'create'].map(
      (route): Row => ['POST', `/api/${route}`, { model: 'a b' }, 400, 'invalid model name'],
    ),
    ['DELETE', '/api/delete', { model: 'a b' }, 400, 'name "a b" is invalid'],
    ...['generate', 'chat', 'embed', 'embeddings', 'show', 'pull', 'push', 'create', 'copy'].map(
      (route): Row => ['POST', `/api/${route}`, '', 400, 'missing request body'],
    ),
    ['DELETE', '/api/delete', '', 400, 'missing request body'],
    ['POST', '/api/generate', '{bad', 400, "invalid character 'b' looking for beginning of object key string"],
    ['POST', '/api/generate', gzipSync('{}'), 400, "invalid character '\\x1f' looking for beginning of value"],
    ['POST', '/api/generate', { model: 'x:cloud' }, 403, 'ollama cloud is disabled: remote model is unavailable'],
    ['POST', '/api/show', { model: 'x:cloud' }, 403, 'ollama cloud is disabled: remote model details are unavailable'],
    ['POST', '/api/generate', { model: 'x:cloud:local' }, 400, 'use either :local or :cloud, not both: "x:cloud:local"'],
    ['POST', '/api/chat', { model: 'tiny', messages: [{ role: 'user' }], top_logprobs: 21 }, 400, 'top_logprobs must be between 0 and 20'],
    ['POST', '/api/chat', { model: 'tiny', messages: [{ role: 'user' }], think: true }, 400, '"tiny" does not support thinking'],
    ['POST', '/api/chat', { model: 'tiny', messages: [{ role: 'user' }], tools: [{ type: 'function' }] }, 400, 'registry.ollama.ai/library/tiny:latest does not support tools'],
    ['POST', '/api/generate', { ...tiny, suffix: 'z' }, 400, 'registry.ollama.ai/library/tiny:latest does not support insert'],
    ['POST', '/api/generate', { model: 'tinyembed', prompt: 'a' }, 400, '"tinyembed" does not support generate'],
    ['POST', '/api/chat', { model: 'tinyembed', messages: [{ role: 'user' }] }, 400, '"tinyembed" does not support chat'],
    ['POST', '/api/embeddings', { model: 'tiny', prompt: 'a' }, 500, 'This server does not support embeddings. Start it with `--embeddings`'],
    ['POST', '/api/embed', { model: 'tiny', input: 'a' }, 501, 'This server does not support embeddings. Start it with `--embeddings`'],
    ['POST', '/api/generate', { ...tiny, raw: true, system: 's' }, 400, 'raw mode does not support template, system, or context'],
    ['POST', '/api/generate', { ...tiny, options: { num_ctx: 'abc' } }, 500, 'option "num_ctx" must be of type integer'],
    ['POST', '/api/generate', { ...tiny, options: { stop: [1] } }, 500, 'option "stop" must be of an array of strings'],
    ['POST', '/api/generate', { ...tiny, keep_alive: 'abc' }, 400, 'time: invalid duration "abc"'],
    ['POST', '/api/generate', { ...tiny, format: 'xml' }, 500, 'invalid format: "\\"xml\\""; expected "json" or a valid JSON Schema object'],
    ['POST', '/api/generate', { ...tiny, format: 'xml', stream: true }, 500, 'invalid format: "\\"xml\\""; expected "json" or a valid JSON Schema object', BARE],
    ['POST', '/api/generate', { ...tiny, images: ['???'] }, 400, 'illegal base64 data at input byte 0'],
    ['POST', '/api/generate', { ...tiny, images: ['YWJj'] }, 400, '{"error":{"code":400,"message":"Multimodal data provided, but model does not support multimodal requests.","type":"invalid_request_error"}}'],
    ['POST', '/api/generate', { ...tiny, template: '{{ .Prompt' }, 500, 'template: :1: unclosed action'],
    ['POST', '/api/generate', { ...tiny, raw: true, prompt: long, truncate: false, options: { num_ctx: 256 } }, 400, '{"error":{"code":400,"message":"request (300 tokens) exceeds the available context size (256 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":300,"n_ctx":256}}'],
    ['POST', '/api/embed', { model: 'tinyembed', input: long, truncate: false }, 400, 'the input length exceeds the context length'],
    ['POST', '/api/embed', { model: 'tinyembed', input: 5 }, 400, 'invalid input type'],
    ['POST', '/api/embed', { model: 'tinyembed', input: [1] }, 400, 'invalid input type'],
    ['POST', '/api/blobs/sha256:abc', '', 400, 'invalid digest format'],
    ['POST', `/api/blobs/sha256:${'0'.repeat(64)}`, 'abc', 400, `digest mismatch, expected "sha256:${'0'.repeat(64)}", got "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"`],
    ['POST', '/api/me', '', 503, 'account unavailable'],
    ['POST', '/api/signout', '', 500, 'there was an error signing out'],
    ['DELETE', '/api/user/keys/x', undefined, 500, 'there was an error signing out'],
    ['POST', '/api/experimental/web_search', '', 400, 'missing request body'],
    ['POST', '/api/experimental/web_search', { query: 'x' }, 403, 'ollama cloud is disabled: web search is unavailable'],
    ['POST', '/api/experimental/web_fetch', { url: 'x' }, 403, 'ollama cloud is disabled: web fetch is unavailable'],
  ]
  await expectAll(t, sim, rows, native)
})

t.test('OpenAI clients are refused in their shape, and how early shows in the type', async t => {
  const sim = await quickSim(t, { models: 'tiny,tinyembed' })
  const hi = [{ role: 'user', content: 'hi' }]
  const chat = '/v1/chat/completions'
  // biome-ignore format: one row a line
  const late: [body: unknown, path: string, status: number, kind: string, text: string][] = [
    [{ model: 'nope', messages: hi }, chat, 404, 'not_found_error', "model 'nope' not found"],
    [{ model: 'nope', messages: hi, stream: true }, chat, 404, 'not_found_error', "model 'nope' not found"],
    [{ messages: hi }, chat, 400, 'invalid_request_error', 'model is required'],
    [{ model: 'tiny', messages: hi, tools: [{ type: 'function' }] }, chat, 400, 'invalid_request_error', 'registry.ollama.ai/library/tiny:latest does not support tools'],
    [{ model: 'nope', input: 'x' }, '/v1/embeddings', 404, 'not_found_error', 'model "nope" not found, try pulling it first'],
    [{ model: 'nope', input: 'x' }, '/v1/responses', 404, 'not_found_error', "model 'nope' not found"],
    [undefined, '/v1/models/nope', 404, 'not_found_error', "model 'nope:latest' not found"],
  ]
  // biome-ignore format: one row a line
  const early: [body: unknown, path: string, text: string][] = [
    ['', chat, 'EOF'],
    ['{', chat, 'unexpected EOF'],
    [{ model: 'tiny' }, chat, "[] is too short - 'messages'"],
    [{ model: 'tiny', messages: [{ role: 'user', content: 5 }] }, chat, 'invalid message content type: float64'],
    [{ model: 'tiny', messages: [{ role: 'user' }] }, chat, 'invalid message content type: <nil>'],
    [{ model: 'tiny', messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'http://x/y.png' } }] }] }, chat, 'image URLs are not currently supported, please use base64 encoded data instead'],
    [{ model: 'tiny', messages: hi, reasoning_effort: 'zzz' }, chat, 'invalid reasoning value: "zzz" (must be "minimal", "low", "medium", "high", "xhigh", "ultra", "max", or "none")'],
    [{ model: 'tiny', prompt: ['a'] }, '/v1/completions', 'json: cannot unmarshal array into Go struct field CompletionRequest.prompt of type string'],
    [{ model: 'tinyembed', input: 'x', encoding_format: 'hex' }, '/v1/embeddings', "Invalid value for 'encoding_format' = hex. Supported values: ['float', 'base64']."],
    [{ model: 'tinyembed' }, '/v1/embeddings', 'invalid input'],
    ['{}', '/v1/audio/transcriptions', "failed to parse multipart form: request Content-Type isn't multipart/form-data"],
  ]
  for (const [body, path, status, type, message] of late) {
    const reply = await ask(sim, path, body === undefined ? {} : { body })
    t.match({ ...reply }, { status, headers: { 'content-type': BARE } }, message)
    t.equal(reply.text, `${JSON.stringify({ error: { message, type, param: null, code: null } })}\n`)
  }
  for (const [body, path, message] of early) {
    const reply = await ask(sim, path, { body })
    t.match({ ...reply }, { status: 400, headers: { 'content-type': JSON8 } }, message)
    t.equal(
      reply.text,
      goJson({ error: { message, type: 'invalid_request_error', param: null, code: null } }),
    )
  }
})

t.test('Anthropic clients are refused in theirs, with a request id', async t => {
  const sim = await quickSim(t)
  const messages = [{ role: 'user', content: 'hi' }]
  // biome-ignore format: one row a line
  const rows: [body: unknown, status: number, kind: string, text: string, type: string][] = [
    ['', 400, 'invalid_request_error', 'EOF', JSON8],
    [{ messages, max_tokens: 1 }, 400, 'invalid_request_error', 'model is required', JSON8],
    [{ model: 'tiny', messages }, 400, 'invalid_request_error', 'max_tokens is required and must be positive', JSON8],
    [{ model: 'tiny', max_tokens: 1 }, 400, 'invalid_request_error', 'messages is required', JSON8],
    [{ model: 'nope', messages, max_tokens: 1 }, 404, 'not_found_error', "model 'nope' not found", BARE],
    [{ model: 'nope', messages, max_tokens: 1, stream: true }, 404, 'not_found_error', "model 'nope' not found", BARE],
  ]
  for (const [body, status, kind, message, type] of rows) {
    const reply = await ask(sim, '/v1/messages', { body })
    t.match({ ...reply }, { status, headers: { 'content-type': type } }, message)
    t.match(reply.json, { type: 'error', error: { type: kind, message }, request_id: /^req_[0-9a-f]{24}$/ })
  }
  const dropped = await ask(sim, '/v1/messages', {
    body: { model: 'tiny', messages, max_tokens: 1, thinking: { type: 'enabled', budget_tokens: 1 } },
  })
  t.equal(dropped.status, 200, 'thinking on a model that cannot is dropped here')
})

t.test('cloud models are refused natively on /v1 too', async t => {
  const sim = await quickSim(t)
  for (const path of [
    '/v1/chat/completions',
    '/v1/completions',
    '/v1/embeddings',
    '/v1/responses',
    '/v1/messages',
  ]) {
    const reply = await ask(sim, path, { body: { model: 'x:cloud' } })
    t.equal(reply.status, 403)
    t.equal(reply.headers['content-type'], JSON8)
    t.equal(reply.text, '{"error":"ollama cloud is disabled: remote model is unavailable"}', path)
  }
  const signedOut = await ask(await quickSim(t, { cloud: true }), '/api/generate', {
    body: { model: 'x:cloud' },
  })
  t.match(signedOut.json, { error: 'unauthorized', signin_url: /^https:\/\/ollama\.com\/connect\?/ })
  t.equal(signedOut.status, 401)
})

t.test('bodies may come as zstd on the five JSON routes of /v1', async t => {
  const sim = await quickSim(t)
  const body = { model: 'tiny', messages: [{ role: 'user', content: 'hi' }], max_tokens: 2 }
  const headers = { 'content-encoding': 'zstd' }
  const packed = await ask(sim, '/v1/chat/completions', {
    body: zstdCompressSync(JSON.stringify(body)),
    headers,
  })
  const plain = await ask(sim, '/v1/chat/completions', { body })
  t.equal(packed.json.choices[0].message.content, plain.json.choices[0].message.content)
  const bomb = zstdCompressSync(Buffer.alloc(21 * 1024 * 1024, 32))
  const refused = await ask(sim, '/v1/messages', { body: bomb, headers })
  t.match(
    { status: refused.status, text: refused.text },
    { status: 400, text: '{"error":"http: request body too large"}' },
  )
})

t.test('a full queue is 503 in every shape', async t => {
  const sim = await quickSim(t, { maxQueue: 1, loadMs: 2000, models: 'tiny' })
  const leaving = new AbortController()
  const { signal } = leaving
  const held = [0, 1].map(() =>
    ask(sim, '/api/generate', { body: { model: 'tiny' }, signal }).catch(() => {}),
  )
  while (sim.loads.waiting < 1) await new Promise(resolve => setImmediate(resolve))
  const messages = [{ role: 'user', content: 'hi' }]
  const text = 'server busy, please try again.  maximum pending requests exceeded'
  const plain = await ask(sim, '/api/chat', { body: { model: 'tiny', messages } })
  const openai = await ask(sim, '/v1/chat/completions', { body: { model: 'tiny', messages } })
  const anthropic = await ask(sim, '/v1/messages', { body: { model: 'tiny', messages, max_tokens: 1 } })
  t.same([plain.status, openai.status, anthropic.status], [503, 503, 503])
  t.same(plain.json, { error: text })
  t.match(openai.json.error, { type: 'api_error', message: text })
  t.match(anthropic.json.error, { type: 'overloaded_error', message: text })
  t.notOk(plain.headers['retry-after'])
  t.same((await ask(sim, '/api/ps')).json, { models: [] }, 'ps answers at once and lists no loading model')
  leaving.abort()
  await Promise.all(held)
})
