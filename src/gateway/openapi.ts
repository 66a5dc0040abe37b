/** /quipu/openapi.json: the table of doors written out as OpenAPI 3.1. Pure. */
import { type Door, doors } from './doors.ts'
import { Problem } from './schema/house.ts'
import { shapes } from './schema/shapes.ts'
import type { TSchema } from './schema/words.ts'

interface Property {
  readonly description?: string
}

/** What statuses of refusals mean, wherever they come from. */
const MEANINGS: Readonly<Record<number, string>> = {
  400: 'not understood; the error names what is wrong',
  403: 'only trusted addresses may do this',
  404: 'there is none of that name',
  409: 'it cannot be done now, or is taken',
  410: 'it is not there any more',
  413: 'too large',
  422: 'the same key came with something else',
  502: 'no node could',
  503: 'not now: no node is up, the journal cannot be written, or too many are asking',
  504: 'it waited too long',
}

/** Liveness is for everybody, and asks nothing. */
const OPEN = new Set<string>([doors.healthz.path, doors.readyz.path])

export function openapi(version: string): object {
  const paths: Record<string, Record<string, object>> = {}
  for (const [name, door] of Object.entries(doors) as [string, Door][]) {
    const path = door.path.replace(/:(\w+)/g, '{$1}')
    paths[path] = { ...paths[path], [door.method.toLowerCase()]: operation(name, door) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Quipu',
      version,
      description:
        "The house's own doors. What it says to clients of Ollama, OpenAI and Anthropic is theirs to describe. " +
        'Everything here is for this machine, and for the addresses that --trust names.',
    },
    paths,
    components: {
      schemas: Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, inner(shape)])),
    },
  }
}

function operation(name: string, door: Door): object {
  const { sentence, params, query, body, status = 200, answer, media = 'application/json', csv } = door
  const refusals = [...(OPEN.has(door.path) ? [] : [403]), ...(door.refusals ?? [])].sort()
  const problem = name === 'readyz' ? answer! : Problem
  return {
    operationId: name,
    summary: sentence,
    ...((params ?? query) && {
      parameters: [...parameters('path', params), ...parameters('query', query), ...LAST_EVENT_ID(name)],
    }),
    ...(body && { requestBody: { required: true, content: content('application/json', body) } }),
    responses: {
      [status]: {
        description: sentence,
        content: { ...content(media, answer), ...(csv && content('text/csv', undefined)) },
      },
      ...Object.fromEntries(
        refusals.map(code => [
          code,
          { description: MEANINGS[code], content: content('application/json', problem) },
        ]),
      ),
    },
  }
}

const LAST_EVENT_ID = (name: string): object[] =>
  name === 'events'
    ? [
        {
          name: 'Last-Event-ID',
          in: 'header',
          required: false,
          description: 'seq of the last fact that arrived; goes before after',
          schema: { type: 'integer', minimum: 0 },
        },
      ]
    : []

function parameters(where: 'path' | 'query', schema: TSchema | undefined): object[] {
  const { properties = {}, required = [] } = (schema ?? {}) as {
    readonly properties?: Readonly<Record<string, Property>>
    readonly required?: readonly string[]
  }
  return Object.entries(properties).map(([name, { description, ...shape }]) => ({
    name,
    in: where,
    required: required.includes(name),
    ...(description && { description }),
    schema: shape,
  }))
}

function content(media: string, schema: TSchema | undefined): object {
  return { [media]: schema === undefined ? {} : { schema: referred(schema) } }
}

const names = new Map(Object.entries(shapes).map(([name, shape]) => [shape as unknown, name]))

/** The schema with every shape that has a name replaced by a reference to it. */
function referred(schema: unknown): unknown {
  const name = names.get(schema)
  return name === undefined ? inner(schema) : { $ref: `#/components/schemas/${name}` }
}

function inner(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(referred)
  if (typeof schema !== 'object' || schema === null) return schema
  return Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, referred(value)]))
}
