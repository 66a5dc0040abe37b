import t from 'tap'
import { parseDuration } from '../../src/sim/goduration.ts'
import { goJson, goMap, goParse, rfc3339 } from '../../src/sim/gojson.ts'
import { base64Fault, fill } from '../../src/sim/gostruct.ts'
import { CHAT, CREATE, GENERATE } from '../../src/sim/requests.ts'

const read = (text: string | Buffer): unknown => goParse(Buffer.from(text as string))

t.test('a body that is not JSON is refused in the words of Go', async t => {
  const looking = 'looking for beginning of'
  const table: [body: string, fault: string][] = [
    ['', 'EOF'],
    ['  \n', 'EOF'],
    ['{', 'unexpected EOF'],
    ['{"model":"x"', 'unexpected EOF'],
    ['{"a":tr', 'unexpected EOF'],
    ['"abc', 'unexpected EOF'],
    ['{bad', `invalid character 'b' ${looking} object key string`],
    ['{"a":1,}', `invalid character '}' ${looking} object key string`],
    ["{'a':1}", `invalid character '\\'' ${looking} object key string`],
    ['bad', `invalid character 'b' ${looking} value`],
    ['[,1]', `invalid character ',' ${looking} value`],
    ['[1,]', `invalid character ']' ${looking} value`],
    ['\x1f\x8b\x08', `invalid character '\\x1f' ${looking} value`],
    ['{"a"}', "invalid character '}' after object key"],
    ['{"a":1 "b":2}', `invalid character '"' after object key:value pair`],
    ['[1 2]', "invalid character '2' after array element"],
    ['tru!', "invalid character '!' in literal true (expecting 'e')"],
    ['nul"', `invalid character '"' in literal null (expecting 'l')`],
    ['-x', "invalid character 'x' in numeric literal"],
    ['1.x', "invalid character 'x' after decimal point in numeric literal"],
    ['1ex', "invalid character 'x' in exponent of numeric literal"],
    ['"a\nb"', "invalid character '\\n' in string literal"],
    ['"\\x"', "invalid character 'x' in string escape code"],
    ['"\\u00zz"', "invalid character 'z' in \\u hexadecimal character escape"],
    ['é', `invalid character 'Ã' ${looking} value`],
  ]
  for (const [body, fault] of table) t.throws(() => read(body), { message: fault }, JSON.stringify(body))
})

t.test('only the first value of a body counts', async t => {
  t.same(read('{"a":[1,{"b":"}"}]} trailing junk'), { a: [1, { b: '}' }] })
  t.same(read('[] {'), [])
  t.same(read('{"a":-1.5e+3}x'), { a: -1500 })
  t.same(read('"a\\u0041\\n"!'), 'aA\n')
})

t.test('fields match in any letter case, the last one wins, null is absent', async t => {
  t.same(fill(GENERATE, read('{"MODEL":"a","Model":"b","unknown":1,"prompt":null}')), { model: 'b' })
  t.same(fill(GENERATE, null), {})
})

t.test('a value of the wrong kind is refused in the words of Go', async t => {
  const field = 'into Go struct field'
  const table: [body: string, fault: string, into?: any][] = [
    ['[]', 'json: cannot unmarshal array into Go value of type api.GenerateRequest'],
    ['"x"', 'json: cannot unmarshal string into Go value of type api.GenerateRequest'],
    ['{"model":1}', `json: cannot unmarshal number ${field} GenerateRequest.model of type string`],
    [
      '{"model":{},"prompt":1}',
      `json: cannot unmarshal object ${field} GenerateRequest.model of type string`,
    ],
    ['{"stream":"no"}', `json: cannot unmarshal string ${field} GenerateRequest.stream of type bool`],
    ['{"context":"x"}', `json: cannot unmarshal string ${field} GenerateRequest.context of type []int`],
    [
      '{"top_logprobs":1.5}',
      `json: cannot unmarshal number 1.5 ${field} GenerateRequest.top_logprobs of type int`,
    ],
    [
      '{"options":3}',
      `json: cannot unmarshal number ${field} GenerateRequest.options of type map[string]interface {}`,
    ],
    [
      '{"messages":"x"}',
      `json: cannot unmarshal string ${field} ChatRequest.messages of type []api.Message`,
      CHAT,
    ],
    [
      '{"messages":[{"content":1}]}',
      `json: cannot unmarshal number ${field} ChatRequest.messages.content of type string`,
      CHAT,
    ],
    [
      '{"files":{"a":1}}',
      `json: cannot unmarshal number ${field} CreateRequest.files.a of type string`,
      CREATE,
    ],
    ['{"keep_alive":"abc"}', 'time: invalid duration "abc"'],
    ['{"keep_alive":"10"}', 'time: missing unit in duration "10"'],
    ['{"keep_alive":"10x"}', 'time: unknown unit "x" in duration "10x"'],
    ['{"keep_alive":true}', "Unsupported type: 'bool'"],
    [
      '{"think":"ultra"}',
      'invalid think value: "ultra" (must be "high", "medium", "low", "max", true, or false)',
    ],
    ['{"think":5}', 'think must be a boolean or string ("high", "medium", "low", "max", true, or false)'],
    ['{"images":["?"]}', 'illegal base64 data at input byte 0'],
  ]
  for (const [body, message, into] of table)
    t.throws(() => fill(into ?? GENERATE, read(body)), { message }, body)
})

t.test('keep_alive is seconds or a duration, and anything negative is for ever', async t => {
  const table: [sent: string, ms: number][] = [
    ['10', 10_000],
    ['0.5', 500],
    ['-1', Number.POSITIVE_INFINITY],
    ['"5m"', 300_000],
    ['"1h30m"', 5_400_000],
    ['"1.5s"', 1500],
    ['"0"', 0],
    ['"-1s"', Number.POSITIVE_INFINITY],
  ]
  for (const [sent, ms] of table) t.equal(fill(GENERATE, read(`{"keep_alive":${sent}}`)).keep_alive, ms, sent)
  t.equal(parseDuration('250ms'), 250)
})

t.test('JSON leaves as Go writes it', async t => {
  t.equal(goJson({ a: '<b> & "c"', gone: undefined }), '{"a":"\\u003cb\\u003e \\u0026 \\"c\\""}')
  t.equal(
    JSON.stringify(goMap({ b: { d: 1, c: [{ f: 1, e: 2 }] }, a: 0 })),
    '{"a":0,"b":{"c":[{"e":2,"f":1}],"d":1}}',
  )
})

t.test('a moment has up to nine digits after the point and no zeros at the end', async t => {
  const second = Date.UTC(2026, 10, 21, 8, 49, 39)
  t.equal(rfc3339(second), '2026-11-21T08:49:39Z')
  t.equal(rfc3339(second + 500), '2026-11-21T08:49:39.5Z')
  t.equal(rfc3339(second + 0.25), '2026-11-21T08:49:39.00025Z')
})

t.test('base64 is wrong at the byte where Go stops reading', async t => {
  for (const [encoded, at] of [
    ['', -1],
    ['YQ==', -1],
    ['YWI=', -1],
    ['YWJj', -1],
    ['YW\nJj', -1],
    ['YWJ', 0],
    ['YWJjZ', 4],
    ['YQ=', 3],
    ['YWJj!', 4],
    ['=', 0],
  ] as const)
    t.equal(base64Fault(encoded), at, JSON.stringify(encoded))
})
