import t from 'tap'
import { ask, quickSim, type Reply } from './ask.ts'

const NDJSON = { 'content-type': 'application/x-ndjson', 'transfer-encoding': 'chunked' }
const SSE = { 'content-type': 'text/event-stream', 'transfer-encoding': 'chunked' }
const messages = [{ role: 'user', content: 'hi' }]

/** The parts that differ from run to run, put to rest. */
function still(text: string): string {
  return text
    .replace(/"created_at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z"/g, '"created_at":"T"')
    .replace(/_duration":[1-9]\d*/g, '_duration":N')
    .replace(/"(created|created_at|completed_at)":\d{10}/g, '"$1":S')
    .replace(/"(chatcmpl-|cmpl-|resp_|msg_)[0-9a-f]+"/g, '"$1ID"')
}

async function words(sim: Parameters<typeof ask>[0], count: number): Promise<string[]> {
  const body = { model: 'tiny', messages, stream: false, options: { num_predict: count } }
  const { message } = (await ask(sim, '/api/chat', { body })).json
  return message.content.split(/(?= )/)
}

t.test('generate streams a line a token and ends with its measures', async t => {
  const sim = await quickSim(t)
  const options = { num_predict: 2 }
  const whole = await ask(sim, '/api/generate', {
    body: { model: 'TINY', prompt: 'hi', stream: false, options },
  })
  const [a, b] = whole.json.response.split(/(?= )/)
  const stream = await ask(sim, '/api/generate', { body: { model: 'TINY', prompt: 'hi', options } })
  const { context } = stream.lines.at(-1)
  const measures = `"total_duration":N,"load_duration":N,"prompt_eval_count":8,"prompt_eval_duration":N,"eval_count":2,"eval_duration":N`
  t.same(stream.headers, NDJSON)
  t.equal(context.length, 10)
  t.equal(
    still(stream.text),
    `{"model":"TINY","created_at":"T","response":"${a}","done":false}\n` +
      `{"model":"TINY","created_at":"T","response":"${b}","done":false}\n` +
      `{"model":"TINY","created_at":"T","response":"","done":true,"done_reason":"length","context":${JSON.stringify(context)},${measures}}\n`,
  )
  t.equal(whole.headers['content-length'], String(whole.text.length))
  t.equal(
    still(whole.text),
    `{"model":"TINY","created_at":"T","response":"${a}${b}","done":true,"done_reason":"length","context":${JSON.stringify(context)},${measures}}`,
  )
  const raw = await ask(sim, '/api/generate', {
    body: { model: 'tiny', prompt: 'hi', raw: true, stream: false },
  })
  t.notOk('context' in raw.json, 'a raw answer has no context')
})

t.test('chat does too, without a context', async t => {
  const sim = await quickSim(t)
  const [a, b] = await words(sim, 2)
  const stream = await ask(sim, '/api/chat', {
    body: { model: 'tiny', messages, options: { num_predict: 2 } },
  })
  t.same(stream.headers, NDJSON)
  t.equal(
    still(stream.text),
    `{"model":"tiny","created_at":"T","message":{"role":"assistant","content":"${a}"},"done":false}\n` +
      `{"model":"tiny","created_at":"T","message":{"role":"assistant","content":"${b}"},"done":false}\n` +
      `{"model":"tiny","created_at":"T","message":{"role":"assistant","content":""},"done":true,"done_reason":"length","total_duration":N,"load_duration":N,"prompt_eval_count":8,"prompt_eval_duration":N,"eval_count":2,"eval_duration":N}\n`,
  )
})

t.test('an empty request loads, and with keep_alive 0 unloads, in one object even of a stream', async t => {
  const sim = await quickSim(t)
  const table: [path: string, body: object, text: string][] = [
    ['/api/generate', {}, '"response":"","done":true,"done_reason":"load"'],
    ['/api/generate', { keep_alive: 0 }, '"response":"","done":true,"done_reason":"unload"'],
    ['/api/chat', {}, '"message":{"role":"assistant","content":""},"done":true,"done_reason":"load"'],
    [
      '/api/chat',
      { keep_alive: '0s' },
      '"message":{"role":"assistant","content":""},"done":true,"done_reason":"unload"',
    ],
  ]
  for (const [path, body, text] of table) {
    const reply = await ask(sim, path, { body: { model: 'tiny', stream: true, ...body } })
    t.equal(still(reply.text), `{"model":"tiny","created_at":"T",${text}}`)
    t.equal(reply.headers['content-type'], 'application/json; charset=utf-8')
    t.equal((await ask(sim, '/api/ps')).json.models.length, text.includes('unload') ? 0 : 1)
  }
  const unknown = await ask(sim, '/api/generate', { body: { model: 'tiny', keep_alive: 0 } })
  t.equal(unknown.status, 200, 'unloading what is not loaded is fine')
})

t.test('answers are the same on every node and differ by prompt, model and seed', async t => {
  const [one, two] = [await quickSim(t, { name: 'one' }), await quickSim(t, { name: 'two' })]
  const say = async (sim: typeof one, prompt: string, more = {}): Promise<string> =>
    (await ask(sim, '/api/generate', { body: { model: 'tiny', prompt, stream: false, ...more } })).json
      .response
  t.equal(await say(one, 'a'), await say(two, 'a'))
  t.not(await say(one, 'a'), await say(one, 'b'))
  t.not(await say(one, 'a'), await say(one, 'a', { options: { seed: 7 } }))
  t.equal((await say(one, 'a')).split(' ').length - 1, 32)
  const stopped = (await say(one, 'a')).split(' ')[3]!
  t.equal((await say(one, 'a', { options: { stop: [` ${stopped}`] } })).split(' ').length - 1, 2)
})

t.test('token probabilities come with their bytes and alternatives', async t => {
  const sim = await quickSim(t)
  const body = {
    model: 'tiny',
    messages,
    stream: false,
    logprobs: true,
    top_logprobs: 2,
    options: { num_predict: 2 },
  }
  const { logprobs } = (await ask(sim, '/api/chat', { body })).json
  t.equal(logprobs.length, 2)
  t.same(Object.keys(logprobs[0]), ['token', 'logprob', 'bytes', 'top_logprobs'])
  t.equal(Buffer.from(logprobs[0].bytes).toString(), logprobs[0].token)
  t.equal(logprobs[0].top_logprobs.length, 2)
  const openai = await ask(sim, '/v1/chat/completions', { body: { ...body, max_tokens: 1 } })
  t.same(openai.json.choices[0].logprobs.content.length, 1)
})

t.test('a thinking model thinks first unless told not to', async t => {
  const sim = await quickSim(t, { models: 'think' })
  const thought = (await ask(sim, '/api/chat', { body: { model: 'think', messages } })).lines
  t.ok(thought[0].message.thinking)
  t.equal(thought[0].message.content, '')
  t.ok(thought.at(-2).message.content)
  const plain = (await ask(sim, '/api/chat', { body: { model: 'think', messages, think: false } })).lines
  t.notOk('thinking' in plain[0].message)
  const openai = await ask(sim, '/v1/chat/completions', { body: { model: 'think', messages, stream: true } })
  t.match(openai.lines[0].choices[0].delta, { role: 'assistant', content: '', reasoning: String })
  const claude = await ask(sim, '/v1/messages', {
    body: { model: 'think', messages, max_tokens: 99, stream: true },
  })
  t.same(
    claude.lines.filter(event => event.type === 'content_block_start').map(event => event.content_block.type),
    ['thinking', 'text'],
  )
})

t.test('a model with tools calls the first one, and puts its result into words', async t => {
  const sim = await quickSim(t, { models: 'tools' })
  const parameters = { type: 'object', properties: { city: { type: 'string' }, days: { type: 'integer' } } }
  const tools = [{ type: 'function', function: { name: 'weather', parameters } }]
  const { message, done_reason } = (
    await ask(sim, '/api/chat', { body: { model: 'tools', messages, tools, stream: false } })
  ).json
  t.equal(done_reason, 'stop')
  t.match(message.tool_calls, [
    {
      id: /^call_[a-z0-9]{8}$/,
      function: { index: 0, name: 'weather', arguments: { city: String, days: Number } },
    },
  ])
  const body = { model: 'tools', messages, tools, stream: true }
  const openai = (await ask(sim, '/v1/chat/completions', { body })).lines
  t.match(openai[0].choices[0].delta.tool_calls[0], {
    type: 'function',
    function: { arguments: /^\{"city":/ },
  })
  t.equal(openai.at(-1).choices[0].finish_reason, 'tool_calls')
  const after = [...messages, message, { role: 'tool', content: 'sunny', tool_name: 'weather' }]
  t.ok(
    (await ask(sim, '/api/chat', { body: { model: 'tools', messages: after, tools, stream: false } })).json
      .message.content,
  )
})

t.test('a format is kept to', async t => {
  const sim = await quickSim(t)
  const schema = {
    type: 'object',
    properties: {
      name: { type: 'string' },
      kind: { enum: ['x', 'y'] },
      list: { type: 'array', items: { $ref: '#/$defs/n' } },
    },
    $defs: { n: { type: 'integer' } },
  }
  const { response } = (
    await ask(sim, '/api/generate', { body: { model: 'tiny', prompt: 'a', format: schema, stream: false } })
  ).json
  t.match(JSON.parse(response), { name: String, kind: /^[xy]$/, list: [Number] })
  const response_format = { type: 'json_schema', json_schema: { name: 's', schema } }
  const openai = await ask(sim, '/v1/chat/completions', {
    body: { model: 'tiny', messages, response_format },
  })
  t.match(JSON.parse(openai.json.choices[0].message.content), { name: String })
})

t.test('embeddings have unit length, or the dimensions asked for', async t => {
  const sim = await quickSim(t)
  const norm = (vector: number[]): number => Math.round(Math.hypot(...vector) * 1e6) / 1e6
  const embed = async (body: object): Promise<any> =>
    (await ask(sim, '/api/embed', { body: { model: 'embed', ...body } })).json
  const both = await embed({ input: ['a', 'b'] })
  t.same(Object.keys(both), ['model', 'embeddings', 'total_duration', 'load_duration', 'prompt_eval_count'])
  t.same(both.embeddings.map(norm), [1, 1])
  t.not(both.embeddings[0][0], both.embeddings[1][0])
  const cut = (await embed({ input: 'a', dimensions: 2 })).embeddings[0]
  t.same([cut.length, norm(cut)], [2, 1])
  for (const body of [{}, { input: '' }, { input: [] }])
    t.equal(JSON.stringify(await embed(body)), '{"model":"embed","embeddings":[]}')
  const old = await ask(sim, '/api/embeddings', { body: { model: 'embed', prompt: 'a' } })
  t.not(norm(old.json.embedding), 1, 'the old route does not normalise')
  t.equal((await ask(sim, '/api/embeddings', { body: { model: 'embed' } })).text, '{"embedding":[]}')
  t.equal(
    (await ask(sim, '/api/embeddings', { body: { model: 'EMBED', prompt: 'a' } })).status,
    404,
    'and wants the exact letters',
  )
  const body = { model: 'embed', input: 'a', dimensions: 2, encoding_format: 'base64' }
  const packed = Buffer.from((await ask(sim, '/v1/embeddings', { body })).json.data[0].embedding, 'base64')
  t.equal(packed.length, 8)
  t.equal(packed.readFloatLE(0), Math.fround(cut[0]))
})

t.test('chat completions stream: role once, then the reason, the usage, and DONE', async t => {
  const sim = await quickSim(t)
  const [a, b] = await words(sim, 2)
  const body = {
    model: 'tiny',
    messages,
    stream: true,
    stream_options: { include_usage: true },
    max_tokens: 2,
    max_completion_tokens: 1,
  }
  const stream = await ask(sim, '/v1/chat/completions', { body })
  const chunk = (choices: string): string =>
    `data: {"id":"chatcmpl-ID","object":"chat.completion.chunk","created":S,"model":"tiny","system_fingerprint":"fp_ollama","choices":${choices}}\n\n`
  t.same(stream.headers, SSE)
  t.equal(
    still(stream.text),
    chunk(`[{"index":0,"delta":{"role":"assistant","content":"${a}"},"finish_reason":null}]`) +
      chunk(`[{"index":0,"delta":{"content":"${b}"},"finish_reason":null}]`) +
      chunk(`[{"index":0,"delta":{},"finish_reason":"length"}]`) +
      chunk('[],"usage":{"prompt_tokens":8,"completion_tokens":2,"total_tokens":10}') +
      'data: [DONE]\n\n',
  )
  const whole = await ask(sim, '/v1/chat/completions', { body: { ...body, stream: false } })
  t.equal(whole.headers['content-type'], 'application/json')
  t.equal(
    still(whole.text),
    `{"id":"chatcmpl-ID","object":"chat.completion","created":S,"model":"tiny","system_fingerprint":"fp_ollama","choices":[{"index":0,"message":{"role":"assistant","content":"${a}${b}"},"finish_reason":"length"}],"usage":{"prompt_tokens":8,"completion_tokens":2,"total_tokens":10}}\n`,
  )
})

t.test('completions stream zeros as usage until the last chunk', async t => {
  const sim = await quickSim(t)
  const body = {
    model: 'tiny',
    prompt: 'hi',
    max_tokens: 1,
    stream: true,
    stream_options: { include_usage: true },
  }
  const stream = await ask(sim, '/v1/completions', { body })
  const [a] = await words(sim, 1)
  const chunk = (choices: string, usage: string): string =>
    `data: {"id":"cmpl-ID","object":"text_completion","created":S,"choices":[${choices}],"model":"tiny","system_fingerprint":"fp_ollama","usage":{${usage}}}\n\n`
  const zeros = '"prompt_tokens":0,"completion_tokens":0,"total_tokens":0'
  t.equal(
    still(stream.text),
    chunk(`{"text":"${a}","index":0,"finish_reason":null}`, zeros) +
      chunk('{"text":"","index":0,"finish_reason":"length"}', zeros) +
      chunk('', '"prompt_tokens":8,"completion_tokens":1,"total_tokens":9') +
      'data: [DONE]\n\n',
  )
  const empty = await ask(sim, '/v1/completions', { body: { model: 'tiny', prompt: '' } })
  t.match(empty.json.choices[0], { text: '', finish_reason: 'load' })
})

const eventNames = (reply: Reply): string[] =>
  [...reply.text.matchAll(/^event: (.*)$/gm)].map(match => match[1]!)

t.test('responses stream: the order of events, numbered from 0, without DONE', async t => {
  const sim = await quickSim(t)
  const stream = await ask(sim, '/v1/responses', {
    body: { model: 'tiny', input: 'hi', stream: true, max_output_tokens: 2 },
  })
  t.same(eventNames(stream), [
    'response.created',
    'response.in_progress',
    'response.output_item.added',
    'response.content_part.added',
    'response.output_text.delta',
    'response.output_text.delta',
    'response.output_text.done',
    'response.content_part.done',
    'response.output_item.done',
    'response.completed',
  ])
  t.same(
    stream.lines.map(event => event.sequence_number),
    [...Array(10).keys()],
  )
  t.notMatch(stream.text, /\[DONE\]/)
  t.same(stream.headers, { ...SSE, 'cache-control': 'no-cache' })
  const completed = stream.lines.at(-1).response
  t.same(Object.keys(completed), Object.keys(completed).sort(), 'its keys are those of a Go map')
  const whole = (
    await ask(sim, '/v1/responses', { body: { model: 'tiny', input: 'hi', max_output_tokens: 2 } })
  ).json
  t.equal(whole.output[0].content[0].text, completed.output[0].content[0].text)
  t.same(Object.keys(whole).slice(0, 6), [
    'id',
    'object',
    'created_at',
    'completed_at',
    'status',
    'incomplete_details',
  ])
})

t.test('messages stream: the order of events, an estimate first and the truth at the end', async t => {
  const sim = await quickSim(t)
  const [a, b] = await words(sim, 2)
  const stream = await ask(sim, '/v1/messages', {
    body: { model: 'tiny', messages, max_tokens: 2, stream: true },
  })
  const event = (name: string, rest: string): string => `event: ${name}\ndata: {"type":"${name}"${rest}}\n\n`
  t.equal(
    still(stream.text),
    event(
      'message_start',
      ',"message":{"id":"msg_ID","type":"message","role":"assistant","model":"tiny","content":[],"usage":{"input_tokens":1,"output_tokens":0}}',
    ) +
      event('content_block_start', ',"index":0,"content_block":{"type":"text","text":""}') +
      event('content_block_delta', `,"index":0,"delta":{"type":"text_delta","text":"${a}"}`) +
      event('content_block_delta', `,"index":0,"delta":{"type":"text_delta","text":"${b}"}`) +
      event('content_block_stop', ',"index":0') +
      event(
        'message_delta',
        ',"delta":{"stop_reason":"max_tokens"},"usage":{"input_tokens":8,"output_tokens":2}',
      ) +
      event('message_stop', ''),
  )
  t.same(stream.headers, { ...SSE, 'cache-control': 'no-cache' })
  const whole = await ask(sim, '/v1/messages', { body: { model: 'tiny', messages, max_tokens: 2 } })
  t.equal(
    still(whole.text),
    `{"id":"msg_ID","type":"message","role":"assistant","model":"tiny","content":[{"type":"text","text":"${a}${b}"}],"stop_reason":"max_tokens","usage":{"input_tokens":8,"output_tokens":2}}\n`,
  )
})

t.test(
  'audio becomes words on a model that hears, and the words of the runner on one that does not',
  async t => {
    const sim = await quickSim(t, { models: 'tiny,audio' })
    const transcribe = async (model: string, format?: string) => {
      const form = new FormData()
      form.set('model', model)
      form.set('file', new Blob(['RIFF']), 'a.wav')
      if (format !== undefined) form.set('response_format', format)
      const packed = new Response(form)
      const headers = { 'content-type': packed.headers.get('content-type')! }
      return ask(sim, '/v1/audio/transcriptions', { body: Buffer.from(await packed.arrayBuffer()), headers })
    }
    t.match((await transcribe('audio')).json, { text: /^\w+ / })
    t.match((await transcribe('audio', 'text')).text, /^\w+ /)
    const deaf = await transcribe('tiny')
    t.equal(deaf.status, 500)
    t.match(deaf.json.error, { type: 'api_error', message: /you may need to provide the mmproj/ })
  },
)

t.test('time passes as told, and replies report it', async t => {
  const sim = await quickSim(t, { loadMs: 400, prefillTps: 200, decodeTps: 100, speed: 10 })
  const started = performance.now()
  const body = { model: 'tiny', prompt: 'hi', stream: false, options: { num_predict: 20 } }
  const { load_duration, prompt_eval_duration, eval_duration, total_duration } = (
    await ask(sim, '/api/generate', { body })
  ).json
  const tookMs = performance.now() - started
  t.ok(tookMs >= 62 && tookMs < 600, `a tenth of 640 ms: ${tookMs}`)
  for (const [name, nanos, ms] of [
    ['load', load_duration, 400],
    ['prompt', prompt_eval_duration, 40],
    ['eval', eval_duration, 200],
    ['total', total_duration, 640],
  ] as const)
    t.ok(nanos >= ms * 0.95e6 && nanos < ms * 1e6 + 2e9 && Number.isInteger(nanos), `${name}: ${nanos}`)
})
