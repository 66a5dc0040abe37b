import t from 'tap'
import { type Door, doors } from '../../src/gateway/doors.ts'
import { openDoors } from './doors.ts'

type Json = Record<string, any>

t.test('the document is the table of doors: every one is in it, and nothing else', async t => {
  const house = await openDoors(t)
  const document: Json = (await house.get('/quipu/openapi.json')).json()
  t.match(document, { openapi: '3.1.0', info: { title: 'Quipu', version: '1.2.3' } })
  const said = Object.entries(document.paths as Json).flatMap(([path, methods]) =>
    Object.keys(methods).map(method => `${method.toUpperCase()} ${path}`),
  )
  const rows = Object.values(doors).map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, '{$1}')}`)
  t.same(said.sort(), rows.sort())
  for (const { method, path } of Object.values(doors) as Door[]) {
    t.ok(house.app.hasRoute({ method, url: path }), `${method} ${path} is hung`)
  }
})

t.test(
  'every reference in it leads somewhere, every parameter of a path is told, every id is its own',
  async t => {
    const house = await openDoors(t)
    const document: Json = (await house.get('/quipu/openapi.json')).json()
    const ids = new Set<string>()
    for (const [path, methods] of Object.entries(document.paths as Json)) {
      for (const operation of Object.values(methods as Json)) {
        t.notOk(ids.has(operation.operationId), operation.operationId)
        ids.add(operation.operationId)
        const told = (operation.parameters ?? [])
          .filter((parameter: Json) => parameter.in === 'path')
          .map(({ name, required }: Json) => (required ? name : `${name}?`))
        t.same(
          told,
          [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name),
        )
      }
    }
    const walk = (value: unknown): void => {
      if (typeof value !== 'object' || value === null) return
      const { $ref } = value as Json
      if (typeof $ref === 'string') {
        const [, name] = /^#\/components\/schemas\/(\w+)$/.exec($ref) ?? []
        t.ok(document.components.schemas[name!], $ref)
      }
      for (const inner of Object.values(value)) walk(inner)
    }
    walk(document)
  },
)

t.test('what it says of a body is what bodies are checked against', async t => {
  const house = await openDoors(t)
  const document: Json = (await house.get('/quipu/openapi.json')).json()
  t.same(document.paths['/quipu/nodes'].post.requestBody.content['application/json'].schema, {
    $ref: '#/components/schemas/NewNode',
  })
  t.match(document.components.schemas.NewNode, {
    required: ['url'],
    additionalProperties: false,
    properties: { slots: { type: 'integer', minimum: 1, maximum: 1_024 } },
  })
  t.match(document.paths['/quipu/events'].get.parameters, [
    { name: 'from', in: 'query', required: false },
    { name: 'after' },
    { name: 'kind' },
    { name: 'type' },
    { name: 'id' },
    { name: 'client' },
    { name: 'model' },
    { name: 'node' },
    { name: 'since' },
    { name: 'until' },
    { name: 'format', schema: { enum: ['sse', 'ndjson'] } },
    { name: 'subscription' },
    { name: 'journal' },
    { name: 'seen' },
    { name: 'Last-Event-ID', in: 'header' },
  ])
})
