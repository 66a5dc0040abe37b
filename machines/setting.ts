/**
 * A setting is one knob of the house that people turn while it runs. Its id is the knob's flag: `queue-max`.
 *
 *   unset ──set──▶ set ──reset──▶ unset
 *
 * While it is unset, the flag, the variable or the default of the start holds. Values are kept as they could be typed.
 */
import { assign, type SnapshotFrom, setup } from 'xstate'
import { type Decide, entity, type Message } from './entity.ts'

export type SettingFact =
  | Message<'setting.set', { readonly before: string; readonly after: string }>
  | Message<'setting.reset', { readonly before: string; readonly after: string }>

/** `start` is what the flag, the variable or the default says: what holds where nothing is set. */
export type SettingCommand =
  | Message<'setting.set', { readonly value: string; readonly start: string }>
  | Message<'setting.reset', { readonly start: string }>

export interface SettingContext {
  /** Empty while it is unset. */
  readonly value: string
}

const machine = setup({ types: { context: {} as SettingContext, events: {} as SettingFact } }).createMachine({
  id: 'setting',
  context: { value: '' },
  initial: 'unset',
  on: {
    'setting.set': { target: '.set', actions: assign({ value: ({ event }) => event.data.after }) },
  },
  states: {
    unset: {},
    set: { on: { 'setting.reset': { target: 'unset', actions: assign({ value: '' }) } } },
  },
})

const decide: Decide<SnapshotFrom<typeof machine>, SettingCommand, SettingFact> = {
  'setting.set': (setting, { data: { value, start } }) => {
    // To set what the start says all the same is news: it then holds whatever the next start says.
    if (!setting.matches('set')) return [{ type: 'setting.set', data: { before: start, after: value } }]
    const before = setting.context.value
    return before === value ? [] : [{ type: 'setting.set', data: { before, after: value } }]
  },
  'setting.reset': (setting, { data: { start } }) =>
    setting.matches('set')
      ? [{ type: 'setting.reset', data: { before: setting.context.value, after: start } }]
      : [],
}

export const setting = entity({ kind: 'setting', machine, decide })
