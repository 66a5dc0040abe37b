/** The house itself: what it is, whether it is well, and what it says when something is wrong. */
import Type from 'typebox'
import { maybe, text, texts, whole, word, yes } from './words.ts'

export const Problem = Type.Object({
  error: text('what is wrong, for people'),
  code: maybe(text('what is wrong, for programs; docs/errors.md lists them')),
})

export const Health = Type.Object({
  status: word(['ok', 'no'], 'is it?'),
  reasons: maybe(texts('why not')),
})

export const Index = Type.Object({
  name: text('quipu'),
  version: text('of this house'),
  journal: Type.Object({
    id: text('made once, with the journal'),
    head: whole('seq of the last fact'),
    hash: text("the chain's hash there"),
    durable: whole('seq of the last fact known to be on disk'),
    writable: yes('may anything new be decided?'),
  }),
  disk: Type.Object({
    used: whole('bytes that the data folder takes'),
    budget: maybe(whole('bytes that it may take; left out where there is no budget')),
    standing: word(['fine', 'tight', 'full'], 'tight: 80 % are used; full: nothing new is taken'),
  }),
  nodes: Type.Object({ total: whole('registered'), up: whole('may be given work') }),
  requests: Type.Object({ waiting: whole('in the queue'), running: whole('on a node') }),
  links: Type.Record(Type.String(), Type.String(), { description: 'the other doors' }),
})
