/** Checks 12, 13, 48–50: what the server says it has. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Checks } from '../check.ts'
import {
  exactly,
  head,
  holds,
  JSON_BARE,
  JSON_UTF8,
  keys,
  object,
  refusesOpenAi,
  Skip,
  same,
  TEXT,
} from '../expect.ts'
import { displayName } from '../probe.ts'

export const catalog: Checks = {
  12: {
    promise: '/api/tags lists the models with hexadecimal digests, newest first',
    async run(server) {
      const reply = await server.get('/api/tags')
      head('tags', reply, 200, { 'content-type': JSON_UTF8 })
      const { models } = object('tags', reply.body)
      holds('tags: models', models, Array.isArray(models), 'an array')
      const wanted = [server.model, server.embed].map(displayName)
      const names = models.map((model: { name: string }) => model.name)
      for (const name of wanted) holds('tags: names', names, names.includes(name), `${name} among them`)

      for (const model of models) {
        const at = `tags: ${model.name}`
        keys(
          at,
          model,
          [
            'name',
            'model',
            'remote_model',
            'remote_host',
            'modified_at',
            'size',
            'digest',
            'details',
            'capabilities',
          ],
          ['remote_model', 'remote_host', ...(wanted.includes(model.name) ? [] : ['capabilities'])],
        )
        keys(
          `${at}: details`,
          model.details,
          [
            'parent_model',
            'format',
            'family',
            'families',
            'parameter_size',
            'quantization_level',
            'context_length',
            'embedding_length',
          ],
          ['context_length', 'embedding_length'],
        )
        same(`${at}: model`, model.model, model.name)
        holds(`${at}: digest`, model.digest, /^[0-9a-f]{64}$/)
        holds(`${at}: size`, model.size, Number.isSafeInteger(model.size) && model.size > 0, 'bytes')
        holds(
          `${at}: modified_at`,
          model.modified_at,
          /^\d{4}-\d\d-\d\dT[\d:]{8}(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/,
        )
      }

      // Sorted by the whole second; within one the order is anybody's.
      const ages = models.map((model: { modified_at: string }) =>
        Math.floor(Date.parse(model.modified_at) / 1000),
      )
      same(
        'tags: order',
        ages,
        ages.toSorted((a: number, b: number) => b - a),
      )
    },
  },

  13: {
    promise: '/api/ps of a server that holds nothing is an empty list',
    async run(server) {
      await server.unload(server.model)
      await server.unload(server.embed)
      const others = (await server.resident()).map(model => model.name)
      // They may be somebody's, or another check's that has just been sent away.
      for (let tries = 0; others.length > 0 && tries < 20; tries += 1) {
        await sleep(100, undefined, { signal: server.signal })
        others.splice(0, others.length, ...(await server.resident()).map(model => model.name))
      }
      if (others.length > 0) throw new Skip(`also resident: ${others.join(', ')}`)
      exactly('ps', await server.get('/api/ps'), 200, JSON_UTF8, '{"models":[]}')
    },
  },

  48: {
    promise: '/v1/models is bare JSON with a newline, and Ollama owns what has no namespace',
    async run(server) {
      const reply = await server.get('/v1/models')
      head('v1/models', reply, 200, { 'content-type': JSON_BARE })
      holds('v1/models: end', reply.body.slice(-40), reply.body.endsWith('}\n'), 'a newline at the end')
      const list = object('v1/models', reply.body)
      keys('v1/models', list, ['object', 'data'])
      same('v1/models: object', list['object'], 'list')
      const entry = list['data']?.find((one: { id: string }) => one.id === displayName(server.model))
      holds('v1/models: data', list['data'], entry !== undefined, `${displayName(server.model)} among them`)
      keys('v1/models: entry', entry, ['id', 'object', 'created', 'owned_by'])
      same('v1/models: object of an entry', entry.object, 'model')
      holds(
        'v1/models: created',
        entry.created,
        Number.isSafeInteger(entry.created),
        'seconds since the epoch',
      )
      if (!server.model.includes('/')) same('v1/models: owned_by', entry.owned_by, 'library')

      const one = await server.get(`/v1/models/${server.model}`)
      head('v1/models/M', one, 200, { 'content-type': JSON_BARE })
      same('v1/models/M', object('v1/models/M', one.body), { ...entry, id: server.model })
    },
  },

  49: {
    promise: '/v1/models of an unknown model is not found, in the shape of OpenAI',
    async run(server) {
      const reply = await server.get(`/v1/models/${server.absent}`)
      const text = `model '${displayName(server.absent)}' not found`
      refusesOpenAi(`v1/models/${server.absent}`, reply, 404, text, { late: true })
    },
  },

  50: {
    promise: 'a model name with a slash cannot be asked for at /v1/models',
    async run(server) {
      for (const slash of ['/', '%2F']) {
        const path = `/v1/models/library${slash}${server.model}`
        exactly(path, await server.get(path), 404, TEXT, '404 page not found')
      }
    },
  },
}
