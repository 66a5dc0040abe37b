/** The doors of the registry: models brought to nodes, taken from them, and how all that stands. */
import type { FastifyInstance } from 'fastify'
import { Refusal } from '../../machines/entity.ts'
import { canonicalName } from '../../machines/name.ts'
import type { Manners } from './control.ts'
import { doors, hang } from './doors.ts'
import { modelNamed } from './policies.ts'
import type { ModelStanding, Optimized, Pulled, Removed, Synced, Transfer } from './schema/models.ts'
import type { Told } from './schema/words.ts'

/** Whatever it is asked to do, it throws a Refusal where it will not. */
export interface RegistryLike {
  /** Open ones in the order they are begun, then those that ended, the last one first. */
  transfers(models?: ReadonlySet<string>): readonly Told<typeof Transfer>[]
  pull(model: string, where: Where, by: string): Told<typeof Pulled>
  cancel(id: string, by: string): Told<typeof Transfer>
  remove(
    model: string,
    how: { readonly nodes?: readonly string[] | undefined; readonly force: boolean },
    by: string,
  ): Promise<Told<typeof Removed>>
  status(models?: ReadonlySet<string>): readonly Told<typeof ModelStanding>[]
  sync(
    how: { readonly model?: string | undefined; readonly dryRun: boolean },
    by: string,
  ): Promise<Told<typeof Synced>>
  optimize(how: { readonly apply: boolean }, by: string): Promise<Told<typeof Optimized>>
}

export type Where =
  | { readonly nodes: readonly string[] }
  | { readonly all: true }
  | { readonly count: number }

export interface RegistryNeeds {
  readonly registry: RegistryLike
}

export function registryDoors(app: FastifyInstance, needs: RegistryNeeds, { told, write }: Manners): void {
  const { registry } = needs
  hang(
    app,
    doors.pullModel,
    ({ body: { model, nodes, all, auto }, by, reply }) => {
      const ways = [nodes && { nodes }, all && { all }, auto !== undefined && { count: auto }].filter(Boolean)
      if (ways.length > 1)
        throw new Refusal('request.invalid', 'body: nodes, all and auto: choose one of them')
      const where = (ways[0] as Where | undefined) ?? { count: 1 }
      return told(reply, registry.pull(modelNamed(model), where, by))
    },
    write,
  )
  hang(
    app,
    doors.removeModel,
    ({ body: { model, nodes, force = false }, by }) =>
      registry.remove(modelNamed(model), { nodes, force }, by),
    write,
  )
  hang(app, doors.modelStatus, ({ query: { model }, reply }) => told(reply, registry.status(filterOf(model))))
  hang(
    app,
    doors.syncModels,
    ({ body: { model, dryRun = false }, by }) =>
      registry.sync({ model: model === undefined ? undefined : modelNamed(model), dryRun }, by),
    write,
  )
  hang(
    app,
    doors.optimizeModels,
    ({ body: { apply = false }, by }) => registry.optimize({ apply }, by),
    write,
  )
  hang(app, doors.transfers, ({ query: { model }, reply }) =>
    told(reply, registry.transfers(filterOf(model))),
  )
  hang(
    app,
    doors.cancelTransfer,
    ({ params: { id }, by, reply }) => told(reply, registry.cancel(id, by)),
    write,
  )
}

/** A filter that names nothing there is fits nothing, and is no mistake. */
function filterOf(model: string | undefined): ReadonlySet<string> | undefined {
  if (model === undefined) return undefined
  return new Set(model.split(',').map(name => canonicalName(name.trim()) ?? name))
}
