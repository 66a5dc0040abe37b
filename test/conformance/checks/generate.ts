/** Checks 26, 28–38, 40, 41, 43 and 72: generate and chat as Ollama speaks them. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Checks } from '../check.ts'
import {
  exactly,
  goJson,
  head,
  holds,
  JSON_BARE,
  JSON_UTF8,
  keys,
  lines,
  NDJSON,
  object,
  refuses,
  same,
} from '../expect.ts'
import { displayName, longName, type Probe, without } from '../probe.ts'
import type { Reply } from '../wire.ts'

/** Always in UTC, with as many of nine digits as Go needs. */
const CREATED_AT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/
/** What the last object of an answer adds. A value of zero is left out. */
const METRICS = [
  'total_duration',
  'load_duration',
  'prompt_eval_count',
  'prompt_eval_duration',
  'eval_count',
  'eval_duration',
]
const HELLO = [{ role: 'user', content: 'hello' }]

export const generate: Checks = {
  26: {
    promise: 'a model is found whatever the case of its name, and the name comes back as it was sent',
    async run(server) {
      const model = server.model.toUpperCase()
      const reply = await server.post('/api/generate', {
        model,
        prompt: 'hi',
        stream: false,
        options: { num_predict: 1 },
      })
      head(`generate ${model}`, reply, 200, { 'content-type': JSON_UTF8 })
      same('model', object('generate', reply.body)['model'], model)
    },
  },

  28: {
    promise: 'a model is found by its full name, which comes back as it was sent',
    async run(server) {
      const model = longName(server.model)
      const reply = await server.post('/api/generate', {
        model,
        prompt: 'hi',
        stream: false,
        options: { num_predict: 1 },
      })
      head(`generate ${model}`, reply, 200, { 'content-type': JSON_UTF8 })
      same('model', object('generate', reply.body)['model'], model)
    },
  },

  29: {
    promise: 'generate streams a line for each piece and a last one with the numbers',
    async run(server) {
      const reply = await server.post('/api/generate', {
        model: server.model,
        prompt: 'hello',
        options: { num_predict: 3 },
      })
      head('generate', reply, 200, { 'content-type': NDJSON, 'content-length': null })
      same('generate: chunked', reply.chunked, true)
      const all = lines('generate', reply)
      const last = all.pop()
      holds('generate: lines', all.length, all.length > 0, 'at least one before the last')
      for (const line of all) {
        keys('generate: line', line, ['model', 'created_at', 'response', 'done'])
        same('generate: model', line['model'], server.model)
        same('generate: done', line['done'], false)
        holds('generate: created_at', line['created_at'], CREATED_AT)
      }
      finished('generate: last line', last!)
      same('generate: response of the last line', last!['response'], '')
      await unbuffered(server)
    },
  },

  30: {
    promise: 'generate without streaming is one object with a length',
    async run(server) {
      const reply = await server.post('/api/generate', {
        model: server.model,
        prompt: 'hello',
        stream: false,
        options: { num_predict: 3 },
      })
      head('generate', reply, 200, {
        'content-type': JSON_UTF8,
        'content-length': String(Buffer.byteLength(reply.body)),
      })
      const answer = object('generate', reply.body)
      finished('generate', answer)
      same('generate: model', answer['model'], server.model)
      holds('generate: response', answer['response'], /./s, 'a text')
      holds('generate: end', reply.body.slice(-1), reply.body.endsWith('}'), 'no newline')
    },
  },

  31: {
    promise: 'generate without a prompt loads the model and says so in one object',
    async run(server) {
      const reply = await server.post('/api/generate', { model: server.model })
      const text = `"response":"","done":true,"done_reason":"load"}`
      loaded('generate without a prompt', server, reply, text)
      holds('ps', await names(server), (await names(server)).includes(displayName(server.model)), 'the model')
    },
  },

  32: {
    promise: 'generate with keep_alive 0 and no prompt unloads the model',
    async run(server) {
      await server.load(server.model)
      const reply = await server.post('/api/generate', { model: server.model, keep_alive: 0 })
      loaded('generate, keep_alive 0', server, reply, `"response":"","done":true,"done_reason":"unload"}`)
      await server.unload(server.model)
      const again = await server.post('/api/generate', { model: server.model, keep_alive: '0s', prompt: '' })
      loaded(
        'unloading what is not loaded',
        server,
        again,
        `"response":"","done":true,"done_reason":"unload"}`,
      )
    },
  },

  33: {
    promise: 'chat without messages loads, with keep_alive 0 it unloads',
    async run(server) {
      const message = `"message":{"role":"assistant","content":""},"done":true`
      const load = await server.post('/api/chat', { model: server.model })
      loaded('chat without messages', server, load, `${message},"done_reason":"load"}`)
      const unload = await server.post('/api/chat', { model: server.model, keep_alive: 0 })
      loaded('chat, keep_alive 0', server, unload, `${message},"done_reason":"unload"}`)
      await server.unload(server.model)
    },
  },

  34: {
    promise: 'chat gives the logarithms of the probabilities when asked',
    async run(server) {
      const reply = await server.post('/api/chat', {
        model: server.model,
        messages: HELLO,
        stream: false,
        logprobs: true,
        top_logprobs: 2,
        options: { num_predict: 2 },
      })
      head('chat', reply, 200, { 'content-type': JSON_UTF8 })
      const answer = object('chat', reply.body)
      const names = ['model', 'created_at', 'message', 'done', 'done_reason', 'logprobs', ...METRICS]
      keys('chat', answer, names, METRICS)
      keys('chat: message', answer['message'], ['role', 'content'])
      const { logprobs } = answer
      same('logprobs: how many', logprobs?.length, answer['eval_count'])
      for (const item of logprobs) {
        keys('logprobs: item', item, ['token', 'logprob', 'bytes', 'top_logprobs'])
        same('logprobs: bytes', item.bytes, [...Buffer.from(item.token)])
        holds(
          'logprobs: logprob',
          item.logprob,
          typeof item.logprob === 'number' && item.logprob <= 0,
          '<= 0',
        )
        same('logprobs: top', item.top_logprobs.length, 2)
        for (const top of item.top_logprobs) keys('logprobs: top', top, ['token', 'logprob', 'bytes'])
      }
    },
  },

  35: {
    promise: 'chat gives at most 20 alternatives',
    async run(server) {
      const reply = await server.post('/api/chat', { model: server.model, messages: HELLO, top_logprobs: 21 })
      refuses('top_logprobs 21', reply, 400, 'top_logprobs must be between 0 and 20')
    },
  },

  36: {
    promise: 'a model that cannot think says so',
    async run(server) {
      await without(server, server.model, 'thinking')
      const reply = await server.post('/api/chat', { model: server.model, messages: HELLO, think: true })
      refuses('think', reply, 400, `"${server.model}" does not support thinking`)
    },
  },

  37: {
    promise: 'a model that cannot use tools says so under its full name',
    async run(server) {
      await without(server, server.model, 'tools')
      const parameters = { type: 'object', properties: {} }
      const tools = [{ type: 'function', function: { name: 'clock', description: 'the time', parameters } }]
      const reply = await server.post('/api/chat', { model: server.model, messages: HELLO, tools })
      refuses('tools', reply, 400, `${longName(server.model)} does not support tools`)
    },
  },

  38: {
    promise: 'an embedding model neither generates nor chats',
    async run(server) {
      await without(server, server.embed, 'completion')
      const model = server.embed
      const text = await server.post('/api/generate', { model, prompt: 'hi' })
      refuses('generate', text, 400, `"${model}" does not support generate`)
      const talk = await server.post('/api/chat', { model, messages: HELLO })
      refuses('chat', talk, 400, `"${model}" does not support chat`)
    },
  },

  40: {
    promise: 'an option of the wrong type is the server’s error, not the client’s',
    async run(server) {
      const reply = await server.post('/api/generate', {
        model: server.model,
        prompt: 'hi',
        options: { num_ctx: 'abc' },
      })
      refuses('num_ctx "abc"', reply, 500, 'option "num_ctx" must be of type integer')
    },
  },

  41: {
    promise: 'an unknown option is ignored',
    async run(server) {
      const reply = await server.post('/api/generate', {
        model: server.model,
        prompt: 'hi',
        stream: false,
        options: { num_predict: 1, no_such_option: 1 },
      })
      head('an unknown option', reply, 200, { 'content-type': JSON_UTF8 })
    },
  },

  43: {
    promise: 'an unknown format fails with a status even when streaming was asked for',
    async run(server) {
      const error = 'invalid format: "\\"xml\\""; expected "json" or a valid JSON Schema object'
      const ask = { model: server.model, prompt: 'hi', format: 'xml' }
      const stream = await server.post('/api/generate', ask)
      head('format "xml"', stream, 500, { 'content-type': JSON_BARE, 'content-length': null })
      same('format "xml": chunked', stream.chunked, true)
      same('format "xml": body', stream.body, goJson({ error }))
      const whole = await server.post('/api/generate', { ...ask, stream: false })
      refuses('format "xml", not streaming', whole, 500, error)
    },
  },

  72: {
    promise: 'keep_alive -1 lasts until another request says otherwise',
    async run(server) {
      const ask = { model: server.model, prompt: 'hi', stream: false, options: { num_predict: 1 } }
      try {
        head('keep_alive -1', await server.post('/api/generate', { ...ask, keep_alive: -1 }), 200)
        await expires(server, year => year >= 2300, 'the year 2300 or later')
        head('no keep_alive', await server.post('/api/generate', ask), 200)
        await expires(server, year => year >= 2300, 'still the year 2300 or later')
        head('keep_alive 90', await server.post('/api/generate', { ...ask, keep_alive: 90 }), 200)
        await expires(server, year => year < 2300, 'a minute and a half from now')
      } finally {
        await server.unload(server.model)
      }
    },
  },
}

/** The last object of an answer cut off at `num_predict` 3. */
function finished(what: string, answer: Record<string, any>): void {
  const names = ['model', 'created_at', 'response', 'done', 'done_reason', 'context', ...METRICS]
  keys(what, answer, names, ['load_duration', 'prompt_eval_count', 'prompt_eval_duration', 'eval_duration'])
  same(`${what}: done`, answer['done'], true)
  same(`${what}: done_reason`, answer['done_reason'], 'length')
  same(`${what}: eval_count`, answer['eval_count'], 3)
  holds(`${what}: created_at`, answer['created_at'], CREATED_AT)
  for (const name of METRICS.filter(name => name in answer))
    holds(
      `${what}: ${name}`,
      answer[name],
      Number.isSafeInteger(answer[name]) && answer[name] > 0,
      'a whole number',
    )
  holds(
    `${what}: context`,
    answer['context'],
    Array.isArray(answer['context']) && answer['context'].every(Number.isSafeInteger),
    'token numbers',
  )
}

/** The pieces leave as they come: what took the runner a while is not delivered in one go. */
async function unbuffered(server: Probe): Promise<void> {
  const began = performance.now()
  const reply = await server.post('/api/generate', {
    model: server.model,
    prompt: 'hello',
    options: { num_predict: 100 },
  })
  const took = performance.now() - began
  const last = lines('a longer stream', reply).at(-1)!
  // A share of the time that passed here: a simulated node's clock may run faster than ours.
  const ms = Math.round(took * (last['eval_duration'] / last['total_duration']))
  const expected = `most of the ${ms} it took to make`
  if (ms > 50)
    holds('a longer stream: ms from first byte to last', reply.bodyMs, reply.bodyMs > ms / 3, expected)
}

/** The short answer to a request that only loads or unloads: one object, whatever was asked about streaming. */
function loaded(what: string, server: Probe, reply: Reply, tail: string): void {
  const start = goJson({ model: server.model }).slice(0, -1)
  const at = /"created_at":"([^"]+)"/.exec(reply.body)?.[1] ?? ''
  holds(`${what}: created_at`, at || reply.body, CREATED_AT)
  exactly(what, reply, 200, JSON_UTF8, `${start},"created_at":"${at}",${tail}`)
}

async function names(server: Probe): Promise<readonly string[]> {
  return (await server.resident()).map(model => model.name)
}

/** A residency's end is set a moment after the reply that caused it. */
async function expires(server: Probe, test: (year: number) => boolean, expected: string): Promise<void> {
  let seen = 'not resident'
  for (let tries = 0; tries < 20; tries += 1) {
    const model = (await server.resident()).find(one => one.name === displayName(server.model))
    if (model && test(Number(model.expires_at.slice(0, 4)))) return
    seen = model?.expires_at ?? seen
    await sleep(50, undefined, { signal: server.signal })
  }
  holds('expires_at', seen, false, expected)
}
