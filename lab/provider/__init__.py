"""Who answers: LiteLLM translates, the lab sends the bytes; and what answers on this machine.

The only room that knows LiteLLM, which takes seconds to import and is imported by the first call that needs it.
`source` makes one attempt, by wire or carried; `wire` sends the bytes; `dialect` and its neighbours write requests and
read answers; `local`, `child` and `function` answer on this machine.
"""
