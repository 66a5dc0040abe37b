/** Every question that the house keeps an answer to. */

import { archive } from './archive.ts'
import { breakers } from './breakers.ts'
import { catalog } from './catalog.ts'
import { deliveries } from './deliveries.ts'
import { demand } from './demand.ts'
import { endings } from './endings.ts'
import { estimates } from './estimates.ts'
import { fleet } from './fleet.ts'
import { forgettings } from './forgettings.ts'
import { history } from './history.ts'
import { jobs } from './jobs.ts'
import { keys } from './keys.ts'
import { made } from './made.ts'
import { policies } from './policies.ts'
import { type Projection, restore } from './projection.ts'
import { recent } from './recent.ts'
import { requests } from './requests.ts'
import { residency } from './residency.ts'
import { retries } from './retries.ts'
import { servers } from './servers.ts'
import { settings } from './settings.ts'
import { signers } from './signers.ts'
import { subscriptions } from './subscriptions.ts'
import { traffic } from './traffic.ts'
import { transfers } from './transfers.ts'
import { trusted } from './trusted.ts'
import { usage } from './usage.ts'

/** The state of each view, by its name. */
export type States = Readonly<Record<string, unknown>>

/** `kept`: what they held when a snapshot was taken. */
export const views = (kept: States = {}) => {
  const all = {
    fleet: fleet(),
    residency: residency(),
    requests: requests(),
    jobs: jobs(),
    keys: keys(),
    breakers: breakers(),
    retries: retries(),
    estimates: estimates(),
    catalog: catalog(),
    history: history(),
    recent: recent(),
    servers: servers(),
    settings: settings(),
    subscriptions: subscriptions(),
    traffic: traffic(),
    usage: usage(),
    policies: policies(),
    deliveries: deliveries(),
    endings: endings(),
    signers: signers(),
    archive: archive(),
    forgettings: forgettings(),
    transfers: transfers(),
    trusted: trusted(),
    demand: demand(),
    made: made(),
  }
  for (const [name, view] of Object.entries(all) as [string, Projection<unknown>][]) {
    if (Object.hasOwn(kept, name)) restore(view, kept[name])
  }
  return all
}

/** What decisions are made from, as it stands or stood at one moment. */
export type Moment = Pick<
  ReturnType<typeof views>,
  'fleet' | 'residency' | 'requests' | 'breakers' | 'estimates' | 'policies' | 'settings'
>

export function statesOf(answers: Readonly<Record<string, Projection<unknown>>>): States {
  return Object.fromEntries(Object.entries(answers).map(([name, { state }]) => [name, state]))
}
