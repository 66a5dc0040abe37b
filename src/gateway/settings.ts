/** The doors of the settings: what holds, what was set while the house ran, and how to set, reset and roll back. */
import type { FastifyInstance } from 'fastify'
import { Refusal } from '../../machines/entity.ts'
import { type Config, type KnobName, knobNames, knobs, shown } from '../config.ts'
import type { Engine } from '../engine/engine.ts'
import type { Journal } from '../journal/journal.ts'
import { isLive, liveKnob, readValue, understands } from '../live.ts'
import { type Change, type SettingsProjection, valuesAfter } from '../projections/settings.ts'
import type { Manners } from './control.ts'
import { doors, hang } from './doors.ts'
import { HISTORY_LIMIT, type Setting, type SettingChange } from './schema/settings.ts'
import type { Told } from './schema/words.ts'

export interface SettingsNeeds {
  readonly engine: Engine
  readonly journal: Journal
  /** What holds. */
  readonly config: Config
  /** What would hold if nothing were set. */
  readonly startConfig: Config
  readonly settings: SettingsProjection
}

export function settingDoors(app: FastifyInstance, needs: SettingsNeeds, { told, write }: Manners): void {
  const { engine, journal, startConfig, settings } = needs

  function set(name: KnobName, text: string, by: string): void {
    const start = shown(name, startConfig[name])
    engine.commit('setting', knobs[name].flag, { type: 'setting.set', by, data: { value: text, start } })
  }

  function reset(name: KnobName, by: string): void {
    const start = shown(name, startConfig[name])
    engine.commit('setting', knobs[name].flag, { type: 'setting.reset', by, data: { start } })
  }

  async function kept<T>(answer: T): Promise<T> {
    await engine.settled()
    return answer
  }

  hang(app, doors.config, ({ reply }) =>
    told(
      reply,
      knobNames.map(name => view(needs, name)),
    ),
  )
  hang(app, doors.configHistory, ({ query: { limit = HISTORY_LIMIT }, reply }) =>
    told(reply, settings.state.history.slice(-limit).reverse().map(changeView)),
  )
  hang(
    app,
    doors.setConfig,
    ({ params: { setting }, body: { value }, by }) => {
      const name = liveKnob(setting)
      set(name, readValue(name, value), by)
      return kept(view(needs, name))
    },
    write,
  )
  hang(
    app,
    doors.resetConfig,
    ({ params: { setting }, by }) => {
      const name = liveKnob(setting)
      reset(name, by)
      return kept(view(needs, name))
    },
    write,
  )
  hang(
    app,
    doors.rollbackConfig,
    ({ body: { to }, by }) => {
      const { seq: head } = journal.head
      const { values } = settings.state
      const then = to > head ? undefined : valuesAfter(settings.state, to)
      if (then === undefined) throw new Refusal('setting.past', beyond(to, head))
      const turned = knobNames.filter(
        name => isLive(name) && then.get(knobs[name].flag) !== values.get(knobs[name].flag),
      )
      // All are read before the first is turned: a rollback is whole, or it is refused.
      const texts = turned.map(name => {
        const text = then.get(knobs[name].flag)
        return { name, text: text === undefined ? undefined : readValue(name, text) }
      })
      for (const { name, text } of texts) {
        if (text === undefined) reset(name, by)
        else set(name, text, by)
      }
      return kept(settings.state.history.filter(({ seq }) => seq > head).map(changeView))
    },
    write,
  )
}

function view({ config, startConfig, settings }: SettingsNeeds, name: KnobName): Told<typeof Setting> {
  const { flag, sentence } = knobs[name]
  const text = settings.state.values.get(flag)
  const holds = text !== undefined && isLive(name) && understands(name, text)
  return {
    name: flag,
    value: shown(name, config[name]),
    source: holds ? 'set' : startConfig.sources[name],
    live: isLive(name),
    start: shown(name, startConfig[name]),
    sentence,
    ...(text !== undefined && !holds && { ignored: text }),
  }
}

function changeView({ seq, at, by, name, as, before, after }: Change): Told<typeof SettingChange> {
  return { seq, at, by, name, as, before, after }
}

function beyond(to: number, head: number): string {
  return to > head
    ? `the journal ends at ${head}, so there is no fact ${to}`
    : `${to} is further back than the house remembers; /quipu/config/history shows what it does`
}
