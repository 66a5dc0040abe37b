/** Every kind of thing the house remembers. */
import { agent } from './agent.ts'
import { archive } from './archive.ts'
import { breaker } from './breaker.ts'
import { delivery } from './delivery.ts'
import type { CommandOf, FactOf } from './entity.ts'
import { forgetting } from './forgetting.ts'
import { model } from './model.ts'
import { node } from './node.ts'
import { policy } from './policy.ts'
import { refusals } from './refusals.ts'
import { replica } from './replica.ts'
import { request } from './request.ts'
import { scrub } from './scrub.ts'
import { setting } from './setting.ts'
import { signer } from './signer.ts'
import { spool } from './spool.ts'
import { subscription } from './subscription.ts'
import { transfer } from './transfer.ts'

export const entities = {
  node,
  breaker,
  model,
  replica,
  request,
  delivery,
  policy,
  setting,
  spool,
  signer,
  scrub,
  subscription,
  refusals,
  archive,
  forgetting,
  transfer,
  agent,
} as const

export type Kind = keyof typeof entities
export type Fact = FactOf<(typeof entities)[Kind]>
export type Command = CommandOf<(typeof entities)[Kind]>
/** The commands a kind takes. */
export type CommandTo<K extends Kind> = CommandOf<(typeof entities)[K]>
