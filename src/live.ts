/**
 * The knobs that may be turned while the house runs. What is set at run time is facts (machines/setting.ts), as text;
 * here it is read by the same parsers as flags and variables, and wins over both.
 */
import { Refusal } from '../machines/entity.ts'
import { type Config, type KnobName, knobNames, knobs, shown, variableOf } from './config.ts'

/** What is set at run time, as text, by the knob's flag. */
export type SetValues = ReadonlyMap<string, string>

/**
 * The config of the start, in which the live knobs read what is set by now. A text that this version does not
 * understand, or a knob that is no longer live, is as if it were not set: an old journal must not keep a house down.
 */
export function liveConfig(start: Config, set: SetValues): Config {
  const config: Config = { ...start }
  for (const name of knobNames) {
    if (!isLive(name)) continue
    let text: string | undefined
    let value: unknown = start[name]
    const get = (): unknown => {
      const now = set.get(knobs[name].flag)
      if (now !== text) {
        text = now
        value = now === undefined ? start[name] : (parsed(name, now) ?? start[name])
      }
      return value
    }
    Object.defineProperty(config, name, { get, enumerable: true })
  }
  return Object.freeze(config)
}

export function isLive(name: KnobName): boolean {
  return 'live' in knobs[name]
}

/** The knob with this flag. Throws a Refusal where there is none, or where it can be turned at the start only. */
export function liveKnob(flag: string): KnobName {
  const name = knobNames.find(each => knobs[each].flag === flag)
  if (name === undefined) {
    throw new Refusal('setting.unknown', `there is no setting "${flag}"; \`quipu config get\` lists them`)
  }
  if (isLive(name)) return name
  const how = `start it with --${flag} or ${variableOf(knobs[name])}`
  const others = knobNames.filter(isLive).map(each => knobs[each].flag)
  throw new Refusal(
    'setting.fixed',
    `${flag} is read once, at the start: stop the house, and ${how}. What can be set while it runs: ${others.join(', ')}`,
  )
}

/** The value as the house writes it down: `60s` and `1m` are one. Throws a Refusal that says what would be right. */
export function readValue(name: KnobName, text: string): string {
  const { flag, parse, sentence } = knobs[name]
  try {
    return shown(name, parse(text))
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new Refusal('setting.invalid', `${flag}: ${why} (${sentence})`)
  }
}

/** Is this text one that the knob's parser takes? */
export function understands(name: KnobName, text: string): boolean {
  return parsed(name, text) !== undefined
}

function parsed(name: KnobName, text: string): unknown {
  try {
    return knobs[name].parse(text)
  } catch {
    return undefined
  }
}
