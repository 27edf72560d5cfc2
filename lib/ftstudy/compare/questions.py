"""Short questions with one right answer, for `ability`: a topic, then lines of "question | right | wrong | wrong | wrong".

Plain words and answers of about equal length. What a small model knows is enough to see whether training took it away.
"""

TEXT = """
capitals
What is the capital of France? | Paris | Rome | Madrid | Berlin
What is the capital of Japan? | Tokyo | Beijing | Seoul | Bangkok
What is the capital of Italy? | Rome | Paris | Vienna | Athens
What is the capital of Germany? | Berlin | London | Madrid | Warsaw
What is the capital of Spain? | Madrid | Lisbon | Rome | Paris
What is the capital of Egypt? | Cairo | Nairobi | Baghdad | Delhi
What is the capital of Russia? | Moscow | Kiev | Warsaw | Prague
opposites
What is the opposite of hot? | cold | warm | red | soft
What is the opposite of big? | small | tall | heavy | wide
What is the opposite of up? | down | over | left | near
What is the opposite of day? | night | week | noon | sun
What is the opposite of happy? | sad | glad | calm | funny
What is the opposite of old? | young | tired | large | slow
What is the opposite of open? | closed | wide | broken | empty
What is the opposite of fast? | slow | quick | late | strong
arithmetic
What is 2 + 2? | 4 | 5 | 7 | 9
What is 3 + 5? | 8 | 6 | 7 | 3
What is 10 - 4? | 6 | 3 | 8 | 2
What is 2 times 3? | 6 | 4 | 9 | 7
What is 5 times 2? | 10 | 15 | 30 | 40
What is half of 8? | 4 | 3 | 6 | 7
What is 9 - 9? | 0 | 1 | 9 | 8
sequences
Which number comes next: 1, 2, 3, 4? | 5 | 7 | 1 | 9
Which number comes next: 2, 4, 6, 8? | 10 | 13 | 17 | 15
Which number comes next: 10, 20, 30, 40? | 50 | 45 | 70 | 20
Which letter comes next: A, B, C, D? | E | H | K | B
Which day comes after Monday? | Tuesday | Sunday | Friday | Thursday
Which month comes after January? | February | October | August | June
Which season comes after winter? | spring | autumn | winter | night
categories
Which of these is a fruit: apple, chair, dog or car? | apple | chair | dog | car
Which of these is an animal: table, horse, spoon or shirt? | horse | table | spoon | shirt
Which of these is a color: run, blue, house or eat? | blue | run | house | eat
Which of these is a country: Canada, pizza, winter or music? | Canada | pizza | winter | music
Which of these is a drink: stone, water, window or shoe? | water | stone | window | shoe
Which of these can fly: a bird, a fish, a horse or a cow? | a bird | a fish | a horse | a cow
Which of these is a tool: hammer, cloud, banana or river? | hammer | cloud | banana | river
Which of these is a musical instrument: piano, potato, pencil or pillow? | piano | potato | pencil | pillow
grammar
What is the plural of child? | children | childs | childes | childrens
What is the plural of mouse? | mice | mouses | mices | mousen
What is the past tense of go? | went | goed | gone to | goes
What is the past tense of eat? | ate | eated | eats | eating
Complete the sentence: She ___ a doctor. | is | are | am | be
Complete the sentence: They ___ playing outside. | are | is | am | be
Complete the sentence: This book is better ___ that one. | than | then | as | from
Complete the sentence: I have lived here ___ ten years. | for | at | on | of
facts
How many days are in a week? | seven | six | ten | four
How many legs does a dog have? | four | two | six | eight
How many months are in a year? | twelve | ten | seven | thirty
What do bees make? | honey | milk | bread | paper
What color is the sky on a clear day? | blue | green | brown | black
What color is grass? | green | blue | red | purple
Which planet do we live on? | Earth | Mars | Venus | Jupiter
Who wrote Romeo and Juliet? | William Shakespeare | Charles Dickens | Albert Einstein | Isaac Newton
Which language do people speak in Brazil? | Portuguese | Japanese | Russian | Swedish
What is frozen water called? | ice | steam | sand | smoke
common sense
What do you use to cut paper? | scissors | a spoon | a pillow | soap
Where do fish live? | in water | in trees | in books | on the moon
What do you wear on your feet? | shoes | hats | gloves | rings
What do you do when you are hungry? | eat | sleep | swim | sing
What do people use an umbrella for? | rain | bread | music | sleep
Where do you go to borrow books? | a library | a bakery | a garage | a pool
What do you need to open a locked door? | a key | a fork | a hat | a leaf
What is it called when the sun goes down? | sunset | breakfast | winter | thunder
"""


def questions() -> list[dict]:
    """Each question: `topic`, `question`, and four `answers`, the right one first."""
    found, topic = [], ""
    for line in TEXT.strip().splitlines():
        question, *answers = line.split(" | ")
        if not answers:
            topic = question
        else:
            found.append({"topic": topic, "question": question, "answers": answers})
    return found
