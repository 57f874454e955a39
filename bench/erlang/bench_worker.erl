%% A gen_server that does nothing but say that it is up.
-module(bench_worker).
-behaviour(gen_server).
-export([start_link/1, init/1, handle_call/3, handle_cast/2]).

start_link(Collector) ->
    gen_server:start_link(?MODULE, Collector, []).

init(Collector) ->
    Collector ! up,
    {ok, Collector}.

handle_call(_Request, _From, State) ->
    {reply, ok, State}.

handle_cast(_Message, State) ->
    {noreply, State}.
