/** Checks 69–71 and 73: more requests than the queue holds, a load in progress, a runner that dies. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Checks } from '../check.ts'
import {
  EVENTS,
  events,
  head,
  holds,
  keys,
  lines,
  Mismatch,
  NDJSON,
  object,
  refuses,
  refusesAnthropic,
  refusesOpenAi,
  Skip,
  same,
} from '../expect.ts'
import { displayName, type Probe } from '../probe.ts'
import type { Reply } from '../wire.ts'

const FULL = 'server busy, please try again.  maximum pending requests exceeded'
const HELLO = [{ role: 'user', content: 'hello' }]
/** More pieces than a runner gets to say before it is killed. */
const MANY = 1500

export const pressure: Checks = {
  69: {
    promise: 'a full queue turns cold requests away, each in the shape of its API',
    async run(server) {
      await server.unload(server.model)
      const began = performance.now()
      const now = () => Math.round(performance.now() - began)
      const full = Promise.withResolvers<void>()
      let loadedMs = Number.POSITIVE_INFINITY
      const flood = Array.from({ length: server.maxQueue + 8 }, async () => {
        const reply = await tiny(server)
        if (reply.status === 200) loadedMs = Math.min(loadedMs, now())
        else full.resolve()
        return reply
      })
      const replies = Promise.all(flood)
      await Promise.race([full.promise, replies])
      const askedMs = now()
      const [chat, message] = await Promise.all([
        server.post('/v1/chat/completions', { model: server.model, messages: HELLO, max_tokens: 1 }),
        server.post('/v1/messages', { model: server.model, messages: HELLO, max_tokens: 1 }),
      ])

      const away = (await replies).filter(reply => reply.status !== 200)
      // A load that ends before all have been sent never has them all waiting.
      const late = away.length === 0 || chat.status === 200 || message.status === 200
      if (late && loadedMs < Math.max(flood.length, askedMs + 50))
        throw new Skip(`a load takes ${loadedMs} ms: too short for ${flood.length} requests to wait for`)
      holds('replies', away.length, away.length > 0, `one of ${flood.length} turned away`)
      for (const reply of away) refuses('generate, queue full', reply, 503, FULL)
      refusesOpenAi('v1 chat, queue full', chat, 503, FULL, { late: true })
      refusesAnthropic('messages, queue full', message, 503, 'overloaded_error', FULL, { late: true })
    },
  },

  70: {
    promise: 'the queue does not limit requests to a model that is loaded',
    async run(server) {
      await server.load(server.model)
      const replies = await Promise.all(Array.from({ length: server.maxQueue + 4 }, () => tiny(server)))
      const away = replies.filter(reply => reply.status !== 200)
      same(
        'replies other than 200',
        away.map(reply => reply.status),
        [],
      )
      for (const reply of replies) same('done', object('generate', reply.body)['done'], true)
    },
  },

  71: {
    promise: '/api/ps answers at once during a load and does not list the model yet',
    async run(server) {
      await server.unload(server.model)
      const began = performance.now()
      let took = 0
      const load = server.post('/api/generate', { model: server.model }).then(reply => {
        took = performance.now() - began
        return reply
      })
      // If the looking fails, nobody waits for the load any more.
      load.catch(() => {})
      const seen: { at: number; ms: number; listed: boolean }[] = []
      while (took === 0) {
        const asked = performance.now()
        const listed = (await server.resident()).some(model => model.name === displayName(server.model))
        seen.push({ at: asked - began, ms: performance.now() - asked, listed })
        await sleep(10, undefined, { signal: server.signal })
      }
      head('load', await load, 200)

      // Near the end of a load nobody outside can tell which came first.
      const during = seen.filter(({ at, ms }) => at + ms < 0.6 * took)
      const slow = seen.find(({ at, ms }) => at < 0.5 * took && ms > 100 && ms > 0.4 * took)
      if (slow)
        throw new Mismatch('ps during a load', 'a reply at once', `one after ${Math.round(slow.ms)} ms`)
      if (during.length === 0) throw new Skip(`a load takes ${Math.round(took)} ms: too short to look at`)
      holds('ps during a load', during, !during.some(one => one.listed), 'the model is not listed')
    },
  },

  73: {
    promise: 'a runner that dies in mid-stream: an error line, or a stream that ends too soon',
    async run(server) {
      const { model } = server
      const generate = await killed(server, '/api/generate', {
        model,
        prompt: 'hello',
        options: { num_predict: MANY },
      })
      head('generate', generate, 200, { 'content-type': NDJSON })
      brokenOff('generate', generate)
      const native = await killed(server, '/api/chat', {
        model,
        messages: HELLO,
        options: { num_predict: MANY },
      })
      head('chat', native, 200, { 'content-type': NDJSON })
      brokenOff('chat', native)

      const ask = { model, messages: HELLO, max_tokens: MANY, stream: true }
      const chat = await killed(server, '/v1/chat/completions', ask)
      head('v1 chat', chat, 200, { 'content-type': EVENTS })
      const frames = events('v1 chat', chat).map(frame => frame.data)
      holds('v1 chat: frames', frames, !frames.includes('[DONE]'), 'no [DONE]')
      const last = object('v1 chat: last frame', frames.at(-1) ?? '')
      same('v1 chat: model of the last frame', last['model'], '')
      same('v1 chat: content of the last frame', last['choices']?.[0]?.delta?.content ?? '', '')
      same('v1 chat: finish_reason of the last frame', last['choices']?.[0]?.finish_reason ?? null, null)

      const message = await killed(server, '/v1/messages', ask)
      silent('messages', message, ['message_delta', 'message_stop', 'error'])
      const response = await killed(server, '/v1/responses', {
        model,
        input: 'hello',
        max_output_tokens: MANY,
        stream: true,
      })
      silent('v1 responses', response, ['response.completed', 'response.failed', 'error'])
    },
  },
}

function tiny(server: Probe): Promise<Reply> {
  return server.post('/api/generate', {
    model: server.model,
    prompt: 'hi',
    stream: false,
    options: { num_predict: 1 },
  })
}

/** Asks for a long stream whose runner dies when it has begun. */
async function killed(server: Probe, path: string, body: object): Promise<Reply> {
  const { dying } = server
  if (!dying) throw new Skip('no way to kill the runner is known (--sim-url)')
  await server.load(server.model)
  return await dying(begun => server.ask({ method: 'POST', path, body: JSON.stringify(body), onBody: begun }))
}

function brokenOff(what: string, reply: Reply): void {
  const all = lines(what, reply)
  const last = all.pop()!
  keys(`${what}: last line`, last, ['error'])
  holds(`${what}: error`, last['error'], /./, 'a text')
  holds(
    `${what}: lines`,
    all.length,
    all.length > 0 && all.every(line => line['done'] === false),
    'pieces first',
  )
}

function silent(what: string, reply: Reply, never: readonly string[]): void {
  head(what, reply, 200, { 'content-type': EVENTS })
  const kinds = events(what, reply).map(frame => frame.event)
  holds(
    `${what}: frames`,
    kinds.slice(-5),
    !kinds.some(kind => never.includes(kind!)),
    `none of ${never.join(', ')}`,
  )
}
