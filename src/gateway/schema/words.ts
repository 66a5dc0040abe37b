/**
 * The words that shapes are made of. The other files here have the shapes that pass the house's own doors, by area, what
 * comes in first: they validate what comes in (`check.ts` says how), type what goes out, and are what
 * /quipu/openapi.json shows (`shapes.ts` names them). Nothing outside of this folder imports typebox.
 *
 * Times are milliseconds since the epoch, durations milliseconds, sizes bytes. What is not known is left out. (Tables
 * are otherwise; see there.)
 */
import Type, { type Static, type TSchema } from 'typebox'

export type { TSchema }

/** What a schema describes, as an answer: nobody changes it any more. */
export type Told<S extends TSchema> = Fixed<Static<S>>
/** What a schema lets in. */
export type Given<S extends TSchema> = Static<S>

type Fixed<T> = T extends readonly (infer Item)[]
  ? readonly Fixed<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: Fixed<T[Key]> }
    : T

export const text = (description: string) => Type.String({ description })
export const whole = (description: string) => Type.Integer({ description })
export const figure = (description: string) => Type.Number({ description })
export const yes = (description: string) => Type.Boolean({ description })
export const texts = (description: string) => Type.Array(Type.String(), { description })
export const word = <W extends string>(words: readonly W[], description: string) =>
  Type.Enum([...words], { description })
export const maybe = Type.Optional

export const at = (what: string) => whole(`${what}, milliseconds since the epoch`)

/** Of a query string, nothing may be left over: a filter that is misspelt must not look like one that fits all. */
export const query = <P extends Record<string, TSchema>>(properties: P) =>
  Type.Object(properties, { additionalProperties: false })

export const limit = (fallback: number, max: number) =>
  maybe(Type.Integer({ minimum: 1, maximum: max, description: `how many at most; ${fallback} unless told` }))

export const filter = (description: string) =>
  maybe(Type.String({ minLength: 1, maxLength: 1_024, description: `${description}; several with commas` }))

/** A filter whose words are few and known. */
export const oneOf = (words: readonly string[]) =>
  maybe(
    Type.String({
      pattern: `^(${words.join('|')})(,(${words.join('|')}))*$`,
      maxLength: 256,
      description: 'only these; several with commas',
    }),
  )
