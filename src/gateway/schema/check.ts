/** How what comes in is checked, and what is said of what does not fit. */
import type { FastifySchemaCompiler } from 'fastify'
import type { TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import { Refusal } from '../../../machines/entity.ts'

/**
 * Instead of Fastify's own compiler, whose defaults drop unknown properties without a word and turn "1" into 1
 * anywhere. Here nothing is dropped, and only digits in a query string become numbers.
 */
export const checked: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const validator = Compile(schema)
  const where = httpPart === 'body' ? 'body' : httpPart === 'params' ? 'path' : 'query'
  return (given: unknown) => {
    const value = httpPart === 'querystring' ? counted(schema, given) : given
    if (validator.Check(value)) return { value }
    return {
      error: new Refusal('request.invalid', `${where}: ${complaints(schema, validator.Errors(value))}`),
    }
  }
}

/** Does a value fit a schema? For tests: every answer must. */
export function misfits(schema: TSchema, value: unknown): readonly string[] {
  return Compile(schema)
    .Errors(value)
    .map(({ instancePath, message }) => `${instancePath} ${message}`)
}

type Properties = Readonly<Record<string, TSchema & { readonly type?: string }>>

function propertiesOf(schema: TSchema): Properties {
  return (schema as { readonly properties?: Properties }).properties ?? {}
}

function counted(schema: TSchema, given: unknown): unknown {
  const properties = propertiesOf(schema)
  const convert = ([key, value]: [string, unknown]): [string, unknown] => {
    const digits =
      properties[key]?.type === 'integer' && typeof value === 'string' && /^\d{1,15}$/.test(value)
    return [key, digits ? Number(value) : value]
  }
  return Object.fromEntries(Object.entries(given ?? {}).map(convert))
}

function complaints(schema: TSchema, errors: ReturnType<ReturnType<typeof Compile>['Errors']>): string {
  const said: string[] = []
  for (const { keyword, instancePath, params, message } of errors) {
    const place = instancePath.slice(1).replaceAll('/', '.')
    if (keyword === 'additionalProperties') {
      const unknown = (params as { additionalProperties: readonly string[] }).additionalProperties
      const names = unknown.map(name => JSON.stringify(name)).join(', ')
      if (place !== '') said.push(`${place} may not have ${names}`)
      else said.push(`unknown property ${names}; known are ${Object.keys(propertiesOf(schema)).join(', ')}`)
    } else if (keyword === 'required') {
      said.push(
        `${(params as { requiredProperties: readonly string[] }).requiredProperties.join(', ')} is missing`,
      )
    } else if (keyword === 'type' && place === '') said.push('must be a JSON object')
    else if (keyword !== 'boolean') said.push(`${place} ${message}`) // the same, from inside additionalProperties
  }
  return said.join('; ')
}
