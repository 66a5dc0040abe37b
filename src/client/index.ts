/** What `import … from 'quipu/client'` gives: for programs that follow a house, wherever they run. */

export type {
  Fact,
  FactKind,
  FactType,
  Mark,
  NamedOptions,
  NamedSubscription,
  SubscribeOptions,
  Subscription,
} from './subscribe.ts'
export { subscribe } from './subscribe.ts'
export { SubscriptionError, type Trouble } from './trouble.ts'
