/** The clients people use, unmodified, pointed at a house. */
import { Ollama } from 'ollama'
import OpenAI from 'openai'
import t from 'tap'
import { world } from './world.ts'

const messages = [{ role: 'user' as const, content: 'hello' }]

t.test('ollama-js: chat, generate, embed, list, ps, show, and their streams', async t => {
  const w = await world(t, { sims: [{}, {}] })
  const ollama = new Ollama({ host: w.url })
  const whole = await ollama.chat({ model: 'tiny', messages })
  t.equal(whole.done, true)
  t.equal(whole.message.content.trim().split(' ').length, 8)
  let text = ''
  let done = false
  for await (const part of await ollama.chat({ model: 'tiny', messages, stream: true })) {
    text += part.message.content
    done ||= part.done
  }
  t.ok(done)
  t.equal(text, whole.message.content, 'a stream says what a whole answer says')
  t.match(await ollama.generate({ model: 'tiny', prompt: 'x' }), { done_reason: 'stop', response: String })
  const { embeddings } = await ollama.embed({ model: 'embed', input: ['a', 'b'] })
  t.equal(embeddings.length, 2)
  t.same((await ollama.list()).models.map(({ name }) => name).sort(), ['embed:latest', 'tiny:latest'])
  t.ok((await ollama.ps()).models.length > 0)
  t.match(await ollama.show({ model: 'tiny' }), { details: { format: 'gguf' } })
})

t.test('ollama-js: pull with progress, copy, delete, and the error of an unknown model', async t => {
  const w = await world(t, { sims: [{ pullBytesPerSec: 1e11 }] })
  const ollama = new Ollama({ host: w.url })
  const statuses: string[] = []
  for await (const { status } of await ollama.pull({ model: 'new', stream: true })) statuses.push(status)
  t.equal(statuses[0], 'pulling manifest')
  t.equal(statuses.at(-1), 'success')
  await ollama.copy({ source: 'new', destination: 'newer' })
  await ollama.delete({ model: 'new' })
  t.same((await ollama.list()).models.map(({ name }) => name).sort(), [
    'embed:latest',
    'newer:latest',
    'tiny:latest',
  ])
  await t.rejects(ollama.chat({ model: 'absent', messages }), {
    message: "model 'absent' not found",
    status_code: 404,
  })
})

t.test('ollama-js: leaving a stream frees the node', async t => {
  const w = await world(t, { sims: [{ decodeTps: 20, words: 1_000 }] })
  const ollama = new Ollama({ host: w.url })
  const stream = await ollama.chat({ model: 'tiny', messages, stream: true })
  await t.rejects(
    async () => {
      for await (const _part of stream) stream.abort()
    },
    { name: 'AbortError' },
  )
  await w.fact('request.abandoned')
})

t.test('ollama-js: a node that dies in the middle is an error, not an end', async t => {
  const w = await world(t)
  await (await w.generate()).text()
  w.sims[0]!.setMode('die-midstream')
  const ollama = new Ollama({ host: w.url })
  await t.rejects(
    async () => {
      for await (const _part of await ollama.chat({ model: 'tiny', messages, stream: true }));
    },
    { message: /went away/ },
  )
})

t.test('the OpenAI client: chat, stream, embeddings, models', async t => {
  const w = await world(t)
  const openai = new OpenAI({ baseURL: `${w.url}/v1`, apiKey: 'none', maxRetries: 0 })
  const whole = await openai.chat.completions.create({ model: 'tiny', messages })
  t.match(whole, {
    object: 'chat.completion',
    choices: [{ finish_reason: 'stop' }],
    usage: { completion_tokens: 8 },
  })
  let text = ''
  const stream = await openai.chat.completions.create({ model: 'tiny', messages, stream: true })
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
  t.equal(text, whole.choices[0]?.message.content)
  t.equal((await openai.embeddings.create({ model: 'embed', input: 'x' })).data.length, 1)
  t.ok((await openai.models.list()).data.some(({ id }) => id === 'tiny:latest'))
  await t.rejects(openai.chat.completions.create({ model: 'absent', messages }), { message: /404/ })
})

t.test('the OpenAI client: a node that dies in the middle is an error, not an end', async t => {
  const w = await world(t)
  await (await w.generate()).text()
  w.sims[0]!.setMode('die-midstream')
  const openai = new OpenAI({ baseURL: `${w.url}/v1`, apiKey: 'none', maxRetries: 0 })
  await t.rejects(
    async () => {
      const stream = await openai.chat.completions.create({ model: 'tiny', messages, stream: true })
      for await (const _chunk of stream);
    },
    { message: /went away/ },
  )
})
