/** Every question that the house keeps an answer to. */
import { breakers } from './breakers.ts'
import { catalog } from './catalog.ts'
import { estimates } from './estimates.ts'
import { fleet } from './fleet.ts'
import { history } from './history.ts'
import { requests } from './requests.ts'
import { residency } from './residency.ts'
import { retries } from './retries.ts'

export const views = () => ({
  fleet: fleet(),
  residency: residency(),
  requests: requests(),
  breakers: breakers(),
  retries: retries(),
  estimates: estimates(),
  catalog: catalog(),
  history: history(),
})
