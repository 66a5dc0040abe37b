/** One field of a JSON object, taken out as it was written. */
import t from 'tap'
import { fieldsOf } from '../../src/gateway/fields.ts'

const read = async (text: string): Promise<Record<string, string> | undefined> => {
  const fields = await fieldsOf(Buffer.from(text))
  return fields && Object.fromEntries([...fields].map(([name, value]) => [name, value.toString()]))
}

t.test('each field is the text it was', async t => {
  t.same(await read(' {"a" : { "x": [1.0, "}\\""] } ,\n"b":"\\u00e9","c":null,"d":-1e9 ,"e":[]} \n'), {
    a: '{ "x": [1.0, "}\\""] }',
    b: '"\\u00e9"',
    c: 'null',
    d: '-1e9 ',
    e: '[]',
  })
  t.same(await read('{"a":1,"a":2}'), { a: '2' }, 'of several the last')
  t.same(await read('{}'), {})
})

t.test('what is no object, or not only one, has none', async t => {
  for (const text of ['', '[]', '1', '{', '{"a"}', '{"a":1', '{"a":1}x', '{"a":1,}', '{a:1}'])
    t.equal(await read(text), undefined, text)
  t.equal(await read(`{"${'x'.repeat(65)}":1}`), undefined)
})
