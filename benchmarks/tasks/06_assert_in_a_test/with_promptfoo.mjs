// run: node --test with_promptfoo.mjs
import assert from "node:assert";
import test from "node:test";
import promptfoo from "promptfoo";

test("opening hours", async () => {
  const rubric = "Everything in the reply follows from: The shop opens at nine.";
  const graded = await promptfoo.assertions.matchesLlmRubric(rubric, "It opens at nine.", {
    provider: { id: "openai:chat:nano", config: { response_format: { type: "json_object" } } },
  });
  assert.ok(graded.pass, graded.reason);
});
