import t from 'tap'
import { setting } from '../../machines/setting.ts'
import { given } from './given.ts'

const at = 1_000
const set = (before: string, after: string) => ({ type: 'setting.set', at, data: { before, after } }) as const
const ask = (value: string, start = '512') => ({ type: 'setting.set', at, data: { value, start } }) as const
const back = (start = '512') => ({ type: 'setting.reset', at, data: { start } }) as const

t.test('a setting remembers what it was before: first what the start said, then what was set', async t => {
  given(t, setting)
    .when(ask('64'))
    .answers([{ type: 'setting.set', data: { before: '512', after: '64' } }], 'set')
  given(t, setting, set('512', '64'))
    .when(ask('128'))
    .answers([{ type: 'setting.set', data: { before: '64', after: '128' } }], 'set')
})

t.test('what is set already is no news, but what only the start says may be pinned', async t => {
  given(t, setting, set('512', '64')).when(ask('64')).answers([], 'set')
  given(t, setting)
    .when(ask('512'))
    .answers([{ type: 'setting.set', data: { before: '512', after: '512' } }], 'set')
})

t.test('reset goes back to what the start says now, once', async t => {
  given(t, setting, set('512', '64'))
    .when(back('256'))
    .answers([{ type: 'setting.reset', data: { before: '64', after: '256' } }], 'unset')
  given(t, setting).when(back()).answers([], 'unset')
  const reset = { type: 'setting.reset', at, data: { before: '64', after: '512' } } as const
  given(t, setting, set('512', '64'), reset).when(back()).answers([], 'unset')
  given(t, setting, set('512', '64'), reset)
    .when(ask('7'))
    .answers([{ type: 'setting.set', data: { before: '512', after: '7' } }], 'set')
})
