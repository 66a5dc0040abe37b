/** Settings: what holds, and what was set while the house ran. */
import Type from 'typebox'
import { at, limit, maybe, query, text, whole, word, yes } from './words.ts'

// ── what comes in ──────────────────────────────────────────────────────────────────────────────────────────────

export const HISTORY_LIMIT = 100

export const SettingName = Type.Object({ setting: text('name of the setting: its flag, without the dashes') })
export const NewValue = Type.Object(
  {
    value: Type.String({ minLength: 1, maxLength: 256, description: 'as it would be typed after the flag' }),
  },
  { additionalProperties: false },
)
export const Rollback = Type.Object(
  {
    to: Type.Integer({
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'seq of the fact after which it was as it is to be again',
    }),
  },
  { additionalProperties: false },
)

export const HistoryQuery = query({ limit: limit(HISTORY_LIMIT, 1_000) })

// ── what goes out ──────────────────────────────────────────────────────────────────────────────────────────────

export const Setting = Type.Object({
  name: text('its flag, without the dashes'),
  value: text('what holds now, as it would be typed'),
  source: word(['set', 'flag', 'env', 'default'], 'who says so; the first of these that says anything'),
  live: yes('can it be set while the house runs?'),
  start: text('what holds where nothing is set: flag, variable or default'),
  sentence: text('what it is'),
  ignored: maybe(text('what is set, but not understood by this version')),
})
export const Settings = Type.Array(Setting)

export const SettingChange = Type.Object({
  seq: whole('of the fact; rollback takes it'),
  at: at('when'),
  by: text('who'),
  name: text('the setting'),
  as: word(['set', 'reset'], 'was it set, or taken back?'),
  before: text('what held before'),
  after: text('what held after'),
})
export const SettingChanges = Type.Array(SettingChange)
